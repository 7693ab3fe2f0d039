/** All that a page loads when the first answer comes. */
export { finishedLength } from './open-block.ts';
export { renderMarkdown } from './render-markdown.ts';
