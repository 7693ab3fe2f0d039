import type { Context } from 'hono';
import type { Env } from '../env.ts';

export interface AppEnv {
  Bindings: Env;
  Variables: {
    requestId: string;
    /** Set where somebody wants to know the task of a request as soon as it has a name. */
    taskNamed?: (task: string) => void;
  };
}

export type AppContext = Context<AppEnv>;
