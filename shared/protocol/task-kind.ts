import * as v from 'valibot';

/** What a task asks of a model: to go on with a conversation, or to give the vectors of some texts. Lease and sealed body say it; left out by older versions, it is a chat. */
export const taskKind = v.picklist(['chat', 'embed']);
export type TaskKind = v.InferOutput<typeof taskKind>;
