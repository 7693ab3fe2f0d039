import { describe, expect, it } from 'vitest';
import { WaitingComments } from './waiting-comments.ts';

describe('comments while a request waits', () => {
  it('[W3] tell place and estimate, the last one to whoever comes later, and pass every update on', async () => {
    const comments = new WaitingComments();
    const watched = comments.watch(
      (async function* () {
        yield { type: 'waiting', ahead: 3, etaMs: 12_400 } as const;
        yield { type: 'waiting', ahead: 0, etaMs: 80 } as const;
        yield { type: 'accepted', promptTokens: 4 } as const;
      })(),
    );
    const told: string[] = [];
    const passed = [(await watched.next()).value];
    comments.listen((comment) => told.push(comment));
    for await (const update of watched) passed.push(update);
    expect(told).toEqual([
      ': waiting for a tab, 3 ahead, first token in about 12 s\n\n',
      ': waiting for a tab, 0 ahead, first token in about 1 s\n\n',
    ]);
    expect(passed.map((update) => update?.type)).toEqual(['waiting', 'waiting', 'accepted']);
  });
});
