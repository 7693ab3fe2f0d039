import type { RecentTask } from './network-figures.ts';

/** How sure the network is of an answer, in a word and a sentence. */
export const SURE_WORDS: Readonly<Record<RecentTask['sure'], { readonly word: string; readonly text: string }>> = {
  verified: { word: 'verified', text: 'Another tab wrote the same, byte by byte.' },
  likely: {
    word: 'likely',
    text: 'A tab with the same weights read it and found nothing against it. That is no proof.',
  },
  unverified: { word: 'not verified', text: 'Nobody wrote it again.' },
  disputed: { word: 'in dispute', text: 'Tabs disagreed, and nobody was left to decide.' },
  refuted: { word: 'wrong', text: 'Other tabs agree that the model does not write this.' },
};

/** How far apart the two tabs are known to be. */
export const GRADE_WORDS: Readonly<
  Record<NonNullable<RecentTask['independence']>, { readonly word: string; readonly text: string }>
> = {
  network: { word: 'another network', text: 'The tab that checked was on another network.' },
  owner: { word: 'another owner', text: 'The tab that checked had another owner.' },
  key: {
    word: 'another key only',
    text: 'The tab that checked had another key; both are on one network, or of one owner.',
  },
};
