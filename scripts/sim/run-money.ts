import { rounded } from '../bench/figures.ts';
import { simulateMoney } from './money-simulation.ts';

/** `npm run sim -- money`: prints what happened, then one line of JSON. Throws at the first law that does not hold. */
export async function runMoney(seed: number, steps: number): Promise<void> {
  const startedAt = performance.now();
  const outcome = await simulateMoney({ seed, steps });
  const seconds = (performance.now() - startedAt) / 1000;
  const {
    tasks,
    settled,
    writtenOff,
    deaths,
    lostSessions,
    lostReplies,
    doubled,
    conflicts,
    transfers,
    paired,
    parted,
    words,
    thrownAway,
  } = outcome;
  console.log(
    `${steps} steps, seed ${seed}: ${tasks} tasks, ${settled} charged once, ${writtenOff} written off; ${deaths} deaths, ${lostSessions} sessions lost,\n` +
      `${words} words of readers heard in time, ${thrownAway} answers free by them; ${lostReplies} calls or replies lost, ${doubled} made again, ${conflicts} refused for another content; ${transfers} transfers;\n` +
      `${paired} pairings of tabs with owners, ${parted} ends of one.\n` +
      'Every one was written once and adds up to nothing; nobody but the faucet was ever below zero; all grants came back; what a tab earned is all there.',
  );
  console.log(JSON.stringify({ name: 'sim-money', seed, steps, ...outcome, sum: 0, seconds: rounded(seconds, 1) }));
}
