import { describe, expect, it } from 'vitest';
import { fromUtf8 } from '../../shared/bytes.ts';
import { type FeedSink, FOLLOWED_MS, MAX_FOLLOWERS, SessionFeed } from './session-feed.ts';

interface Reader extends FeedSink {
  readonly read: string[];
  state: 'open' | 'closed' | 'cut';
  isSlow: boolean;
  isGone: boolean;
}

function reader(): Reader {
  const made: Reader = {
    read: [],
    state: 'open',
    isSlow: false,
    isGone: false,
    write(bytes) {
      if (made.isGone) return Promise.reject(new Error('gone'));
      if (made.isSlow) return new Promise(() => undefined);
      made.read.push(fromUtf8(bytes));
      return Promise.resolve();
    },
    close: () => {
      made.state = 'closed';
    },
    cut: () => {
      made.state = 'cut';
    },
  };
  return made;
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

describe('a feed', () => {
  it('tells a follower what there is, then what comes, then that it ends', () => {
    const feed = new SessionFeed(() => 0);
    const one = reader();
    feed.follow(one, [{ event: 'session', data: { name: 'a\nb' } }]);
    feed.tell('task', { id: 1 });
    feed.end('session_deleted');
    feed.tell('task', { id: 2 });
    expect(one.read).toEqual([
      'event: session\ndata: {"name":"a\\nb"}\n\n',
      'event: task\ndata: {"id":1}\n\n',
      'event: end\ndata: {"reason":"session_deleted"}\n\n',
    ]);
    expect([one.state, feed.size]).toEqual(['closed', 0]);
  });

  it('keeps a quiet stream open for a while, and sends everybody away in the end', () => {
    let now = 0;
    const feed = new SessionFeed(() => now);
    const one = reader();
    feed.follow(one, []);
    now = 15_000;
    feed.tick();
    expect(one.read).toEqual([': still here\n\n']);
    now = FOLLOWED_MS;
    feed.tick();
    expect([one.read.at(-1), one.state]).toEqual(['event: end\ndata: {"reason":"time_is_up"}\n\n', 'closed']);
  });

  it('cuts off a follower that does not read, and nobody else', async () => {
    const feed = new SessionFeed(() => 0);
    const [slow, fast] = [reader(), reader()];
    slow.isSlow = true;
    for (const one of [slow, fast]) feed.follow(one, []);
    for (let i = 0; i <= 256; i++) {
      feed.tell('task', { i });
      await settled();
    }
    expect([slow.state, fast.state, fast.read.length]).toEqual(['cut', 'open', 257]);
  });

  it('has room again when a follower went away, whether or not that was said', async () => {
    const feed = new SessionFeed(() => 0);
    const readers = Array.from({ length: MAX_FOLLOWERS }, reader);
    const [first] = readers.map((one) => feed.follow(one, []));
    expect(() => feed.follow(reader(), [])).toThrow('8 followers');
    first?.();
    expect(feed.isFull).toBe(false);
    feed.follow(reader(), []);
    for (const one of readers) one.isGone = true;
    feed.probe();
    await settled();
    expect(feed.size).toBe(1);
  });
});
