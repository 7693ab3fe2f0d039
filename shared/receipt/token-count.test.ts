import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Signed } from '../signing/signed-statement.ts';
import type { Receipt } from './receipt.ts';
import { tokenCountOf } from './token-count.ts';

const golden = JSON.parse(readFileSync(new URL('./golden-receipt.json', import.meta.url), 'utf8')) as {
  receipt: Signed;
};
const receipt = JSON.parse(golden.receipt.payload) as Receipt;
const answer = JSON.parse(receipt.commit!.payload) as { tokens: { prompt: number; completion: number } };

/** The receipt with other counts in the commit; nobody verifies it here. */
function claiming(tokens: { readonly prompt: number; readonly completion: number }): Receipt {
  return { ...receipt, commit: { ...receipt.commit!, payload: JSON.stringify({ ...answer, tokens }) } };
}

describe('the tokens of a receipt', () => {
  const { prompt, completion } = answer.tokens;

  it('count as claimed where the checks that agree counted as many', () => {
    expect(tokenCountOf(receipt)).toEqual({
      prompt: { claimed: prompt, recounted: prompt, counted: prompt },
      completion: { claimed: completion, recounted: completion, counted: completion },
    });
  });

  it('count as the checks found them where the tab claims more', () => {
    expect(tokenCountOf(claiming({ prompt: prompt + 5, completion: 3 * completion }))).toEqual({
      prompt: { claimed: prompt + 5, recounted: prompt, counted: prompt },
      completion: { claimed: 3 * completion, recounted: completion, counted: completion },
    });
  });

  it('count as claimed where the tab claims less, or nobody wrote the same answer', () => {
    expect(tokenCountOf(claiming({ prompt, completion: 1 }))?.completion).toEqual({
      claimed: 1,
      recounted: completion,
      counted: 1,
    });
    expect(tokenCountOf({ ...receipt, checks: [] })?.completion).toEqual({
      claimed: completion,
      recounted: null,
      counted: completion,
    });
  });

  it('are null where nobody committed to an answer', () => {
    expect(tokenCountOf({ ...receipt, commit: null })).toBeNull();
  });
});
