import { css } from 'lit';

/** Styles of the controls that every page element uses. */
export const controls = css`
  :host {
    display: block;
  }
  * {
    box-sizing: border-box;
  }
  h1 {
    font-size: 1.75rem;
    line-height: 1.2;
    margin: 0 0 8px;
  }
  h2 {
    font-size: 1.05rem;
    margin: 0 0 8px;
  }
  h3 {
    font-size: 0.95rem;
    margin: 12px 0 4px;
  }
  ::placeholder {
    color: var(--soft);
    opacity: 1;
  }
  p {
    margin: 0 0 12px;
  }
  a {
    color: var(--accent);
  }
  .soft {
    color: var(--soft);
  }
  .card {
    padding: 18px;
    margin: 0 0 var(--gap);
    border: 1px solid var(--line);
    border-radius: var(--radius);
    background: var(--surface);
  }
  .card > :last-child,
  details > :last-child {
    margin-bottom: 0;
  }
  button {
    font: inherit;
    font-weight: 600;
    padding: 10px 18px;
    min-height: 44px;
    border: 1px solid var(--accent);
    border-radius: 10px;
    background: var(--accent);
    color: var(--accent-text);
    cursor: pointer;
  }
  button.quiet {
    background: transparent;
    color: var(--accent);
  }
  button:disabled {
    opacity: 0.55;
    cursor: not-allowed;
  }
  button.small {
    padding: 4px 12px;
    min-height: 32px;
    font-size: 0.9rem;
  }
  button.danger {
    border-color: var(--bad);
    background: transparent;
    color: var(--bad);
  }
  select,
  input[type='text'],
  input[type='number'],
  input[type='password'],
  textarea {
    font: inherit;
    width: 100%;
    padding: 10px 12px;
    min-height: 44px;
    border: 1px solid var(--line);
    border-radius: 10px;
    background: var(--surface);
    color: var(--text);
  }
  label {
    display: block;
    font-weight: 600;
    margin: 0 0 4px;
  }
  label.check {
    display: flex;
    align-items: flex-start;
    gap: 10px;
    font-weight: 400;
    margin: 14px 0 12px;
  }
  label.check input {
    width: 20px;
    height: 20px;
    margin: 2px 0 0;
    flex: none;
    accent-color: var(--accent);
  }
  summary {
    cursor: pointer;
    padding: 2px 0;
  }
  .row {
    display: flex;
    flex-wrap: wrap;
    gap: 12px;
    align-items: center;
  }
  .scroll {
    overflow-x: auto;
  }
  table {
    width: 100%;
    border-collapse: collapse;
    font-size: 0.95rem;
  }
  caption {
    text-align: left;
    color: var(--soft);
    padding: 0 0 6px;
  }
  th,
  td {
    padding: 8px 10px;
    text-align: left;
    vertical-align: top;
    border-bottom: 1px solid var(--line);
  }
  td.number,
  th.number {
    text-align: right;
    font-variant-numeric: tabular-nums;
  }
  code {
    font-family: var(--mono);
    font-size: 0.85rem;
    overflow-wrap: anywhere;
  }
  .unseen {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  progress {
    width: 100%;
    height: 12px;
    accent-color: var(--accent);
  }
  dl {
    display: grid;
    grid-template-columns: repeat(auto-fit, minmax(130px, 1fr));
    gap: 12px;
    margin: 0;
  }
  dl > div {
    padding: 10px 12px;
    border-radius: 10px;
    background: var(--sunken);
  }
  dt {
    font-size: 0.85rem;
    color: var(--soft);
  }
  dd {
    margin: 0;
    font-size: 1.25rem;
    font-weight: 650;
    font-variant-numeric: tabular-nums;
    overflow-wrap: anywhere;
  }
  :focus-visible {
    outline: 3px solid var(--focus);
    outline-offset: 2px;
  }
`;
