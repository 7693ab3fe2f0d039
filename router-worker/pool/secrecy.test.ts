import { describe, expect, it } from 'vitest';
import { fromBase64Url, toHex } from '../../shared/bytes.ts';
import type { Receipt } from '../../shared/receipt/receipt.ts';
import { newTaskTail, sessionNameOf, sessionOfTask } from '../keys/router-keys.ts';
import { TEST_HOLD, TestNetwork, until } from '../testing/network.ts';

/** Whoever has a task's id may look it up, and the tab that answers has it from its lease. */
describe('[K14] [K16] a tab that looks up the task that it works on', () => {
  it('does not learn before its commit whether it will be checked', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    const seen: unknown[] = [];
    for (const level of ['none', 'cross'] as const) {
      const { task, want } = await network.open('abc', { level, wanted: level === 'cross' ? 3 : 1 });
      const session = await network.session(want.task);
      tab.wire.tamper = (data) => {
        if (typeof data === 'string' && data.includes('"accepted"')) {
          const { id, created_at, ...view } = session.view(want.task);
          seen.push(view);
        }
        return data;
      };
      await network.follow(task, want);
    }
    expect(seen).toHaveLength(2);
    expect(seen[0]).toEqual(seen[1]);
  });

  it('does not tell one of the network from a user’s, then or by its receipt', async () => {
    const network = await TestNetwork.create({ ownTasks: true });
    const tab = await network.addTab();
    await network.addTab({ checkOnly: true });
    network.pool.tick();
    const over = () => network.events.find(({ event }) => event === 'task_ended')?.fields.task as string | undefined;
    await until(() => over() !== undefined, 'the own task ends');
    const own = over() ?? '';
    const user = await network.ask('What is tea?', { prefer: tab.identity });
    const receiptOf = async (tail: string) =>
      JSON.parse((await network.session(tail)).receipt(tail).payload) as Receipt;
    expect((await receiptOf(own)).network).toBe((await receiptOf(user.want.task)).network);
    expect((await network.session(own)).view(own).router_read.prompt_bytes).toBeGreaterThan(0);
    const { price } = await receiptOf(own);
    expect(price?.held).toBe(TEST_HOLD.amount / 2);
    expect(Object.keys(price ?? {})).toEqual(Object.keys((await receiptOf(user.want.task)).price ?? {}));
  });

  it('cannot tell by their ids which tasks are of one session', async () => {
    const { keys } = await TestNetwork.create();
    const name = await sessionNameOf(keys, 'one conversation');
    const tails = await Promise.all(Array.from({ length: 8 }, () => newTaskTail(keys, name)));
    expect(await Promise.all(tails.map((tail) => sessionOfTask(keys, tail)))).toEqual(tails.map(() => name));
    const prefixes = tails.map((tail) => toHex(fromBase64Url(tail).subarray(0, 2)));
    expect(new Set(prefixes).size).toBeGreaterThan(4);
    expect(tails.some((tail) => tail.startsWith(name.slice(0, 4)))).toBe(false);
  });
});
