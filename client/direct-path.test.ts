import { afterEach, expect, it, vi } from 'vitest';
import { ScriptedRouter, ScriptedStream } from '../shared/sealed-task/testing/scripted-router.ts';
import { SealedClient } from './index.ts';
import { scriptedFetch } from './testing/scripted-fetch.ts';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.doUnmock('./direct-path.ts');
});

it('code for direct links that could not be loaded is asked for again: this question goes by relay, the next one tries', async () => {
  vi.stubGlobal('RTCPeerConnection', class {});
  let loads = 0;
  vi.doMock('./direct-path.ts', () => ({
    get DirectPath() {
      loads++;
      if (loads === 1) throw new Error('a new release took the old file away');
      return class {
        openPeer = 'tab';
        bytes = async () => 7;
      };
    },
  }));
  const preferred: unknown[] = [];
  const { fetcher } = scriptedFetch(await ScriptedRouter.create(), {
    tasks: async () => new Response(new ScriptedStream().stream),
  });
  const client = new SealedClient({
    baseUrl: 'https://shoal.example',
    directLinks: true,
    fetch: (input, init) => {
      if (String(input).endsWith('/v1/tasks')) preferred.push(JSON.parse(String(init?.body)).prefer);
      return fetcher(input, init);
    },
  });
  for (let i = 0; i < 3; i++) {
    const answer = await client.ask({ model: 'm', messages: [{ role: 'user', content: 'secret' }] });
    await answer.stop();
  }
  expect({ preferred, loads }).toEqual({ preferred: [null, 'tab', 'tab'], loads: 2 });
});
