import { css } from 'lit';

/** What the elements of `/join` share beside the controls of every page. */
export const joinStyles = css`
  .row {
    display: flex;
    flex-wrap: wrap;
    gap: 12px;
    align-items: center;
  }
  .below {
    margin-top: 14px;
  }
  .good {
    color: var(--good);
  }
  .limited {
    color: var(--warn);
  }
  .missing,
  .bad {
    color: var(--bad);
  }
  ul.plain {
    list-style: none;
    margin: 0;
    padding: 0;
  }
  code {
    font-family: var(--mono);
    font-size: 0.85rem;
    overflow-wrap: anywhere;
  }
  details {
    margin-top: 12px;
  }
  h2:focus {
    outline: none;
  }
  h2:focus-visible {
    outline: 3px solid var(--focus);
  }
`;
