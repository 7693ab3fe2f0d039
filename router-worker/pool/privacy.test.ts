import { describe, expect, it } from 'vitest';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { AlteringEngine } from '../testing/altering-engine.ts';
import { TestNetwork } from '../testing/network.ts';

const PROMPT = 'MARKER-of-the-prompt-7431';
const ANSWER = 'MARKER-of-the-answer-9182';

/** Everything that crossed a wire or is kept by a session, as text where it is text. */
async function everything(
  network: TestNetwork,
  tabs: { wire: { log: (string | Uint8Array)[] } }[],
  task: string,
): Promise<string> {
  const session = await network.session(task);
  const kept = [
    JSON.stringify(session.view(task)),
    JSON.stringify(session.receipt(task)),
    JSON.stringify(network.events),
  ];
  const crossed = tabs.flatMap((tab) => tab.wire.log.map((data) => (typeof data === 'string' ? data : latin(data))));
  return [...kept, ...crossed].join('\n');
}

function latin(data: Uint8Array): string {
  return Array.from(data, (byte) => String.fromCharCode(byte)).join('');
}

async function markedNetwork() {
  const network = await TestNetwork.create();
  const engine = () =>
    new AlteringEngine(new ScriptedEngine(), (event, index) =>
      event.type === 'delta' && index === 4 ? { ...event, text: ` ${ANSWER}` } : event,
    );
  const tabs = [await network.addTab({ engine: engine() }), await network.addTab({ engine: engine() })];
  return { network, tabs };
}

describe('what the router sees and keeps', () => {
  it.each([
    ['a private task', true],
    ['a plain task, whose text passes one Worker only', false],
  ])('[S5] of %s holds neither prompt nor answer', async (_, isPrivate) => {
    const { network, tabs } = await markedNetwork();
    const answer = await network.ask(PROMPT, { private: isPrivate });
    expect(answer.text).toContain(ANSWER);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid' });
    const seen = await everything(network, tabs, answer.want.task);
    for (const marker of [PROMPT, ANSWER, btoa(PROMPT), btoa(ANSWER)]) expect(seen).not.toContain(marker);
    expect(seen.length).toBeGreaterThan(5_000);
  });

  it('[K8] of a private task holds no embedding; the client gets the similarity, sealed', async () => {
    const { network } = await markedNetwork();
    const answer = await network.ask(PROMPT, { private: true });
    expect(answer.updates).toContainEqual({ type: 'similarity', cosine: 1 });
    const receipt = (await network.session(answer.want.task)).receipt(answer.want.task);
    const { commit, checks } = JSON.parse(receipt.payload) as {
      commit: { payload: string };
      checks: { reveal: { payload: string } }[];
    };
    expect(JSON.parse(commit.payload)).toMatchObject({ embedding: null });
    expect(JSON.parse(checks[0]!.reveal.payload)).toMatchObject({
      embedding: null,
      shown: { authentic: true, vector: null },
    });
    const plain = await network.ask(PROMPT, { private: false });
    const plainReceipt = (await network.session(plain.want.task)).receipt(plain.want.task);
    expect(plainReceipt.payload).toContain('\\"vector\\":\\"');
  });

  it('[S4] of a private task has frames in steps of 64 bytes', async () => {
    const { network, tabs } = await markedNetwork();
    await network.ask(PROMPT, { private: true, level: 'none' });
    const sizes = tabs
      .flatMap((tab) => tab.wire.log)
      .filter((data): data is Uint8Array => typeof data !== 'string' && data[0] === 2)
      .map((packet) => packet.byteLength - 5)
      .map((bytes, i) => bytes - 5 - 16 - (i === 0 ? 16 : 0));
    expect(sizes.length).toBeGreaterThan(3);
    for (const size of sizes) expect(size % 64).toBe(0);
  });

  it('[R4] names every reader of the prompt in the receipt: the router only for plain tasks', async () => {
    const { network } = await markedNetwork();
    const roles = async (isPrivate: boolean) => {
      const { want } = await network.ask(PROMPT, { private: isPrivate });
      const receipt = JSON.parse((await network.session(want.task)).receipt(want.task).payload) as {
        readers: { role: string }[];
      };
      return receipt.readers.map((reader) => reader.role);
    };
    expect(await roles(true)).toEqual(['answer', 'check']);
    expect(await roles(false)).toEqual(['router', 'answer', 'check']);
  });
});
