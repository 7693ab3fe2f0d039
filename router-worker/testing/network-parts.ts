import type { Sampling } from '../../shared/protocol/lease.ts';
import type { Level } from '../../shared/protocol/level.ts';
import type { PartWord } from '../billing/grant.ts';
import type { LocalSink } from '../pool/local-stream.ts';
import { MOST_SPARE_PARTS } from '../segmentation/part-schedule.ts';
import type { PartsPort } from '../segmentation/parts-run.ts';
import { TEST_SAMPLING, type TestNetwork } from './network.ts';

export interface TestPrompt {
  readonly text: string;
  readonly sampling?: Sampling;
  readonly level?: Level;
}

/** How often the pool was called for parts, and for how many each time. */
export type PoolCalls = { readonly asked: number; readonly taken: number }[];

/** Parts as tasks of a network in this process. */
export function partsOfNetwork(
  network: TestNetwork,
  calls: PoolCalls = [],
  words: { task: string; word: PartWord }[] = [],
): PartsPort<TestPrompt> {
  return {
    now: () => performance.now(),
    async open(asked) {
      const wants = await Promise.all(
        asked.map(({ prompt, avoid, class: only }) =>
          network.want({
            claim: {
              account: 'test',
              sla: 'standard',
              conversation: null,
              allow: null,
              block: avoid,
              bindsCheckers: false,
            },
            sampling: prompt.sampling ?? TEST_SAMPLING,
            level: prompt.level ?? 'none',
            ...(only !== null && { variants: [{ model: 'test-model', variant: 'q8_0', class: only }] }),
          }),
        ),
      );
      const pipes: { readonly stream: ReadableStream<Uint8Array>; readonly sink: LocalSink }[] = [];
      const sinkOf = () => {
        const pipe = network.pipe();
        pipes.push(pipe);
        return pipe.sink;
      };
      const streams = network.pool.requestMany(wants, sinkOf, MOST_SPARE_PARTS);
      calls.push({ asked: asked.length, taken: streams.length });
      return pipes.flatMap(({ stream, sink }, at) => {
        const [want, part] = [wants[at], asked[at]];
        if (want === undefined || part === undefined) return [];
        sink.onCancel = () => streams[at]?.gone();
        const task = network.taskOn(stream, part.prompt.text, want);
        return [{ task, updates: task.updates(), tell: (word) => void words.push({ task: want.task, word }) }];
      });
    },
  };
}
