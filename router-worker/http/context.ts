import type { Context } from 'hono';
import type { RateState } from '../accounts/rate-limit.ts';
import type { Env } from '../env.ts';

export interface AppEnv {
  Bindings: Env;
  Variables: {
    requestId: string;
    /** Set where somebody wants to know the task of a request as soon as it has a name. */
    taskNamed?: (task: string) => void;
    /** What is left of the caller's rate; not set where nothing was counted. */
    rate?: RateState;
  };
}

export type AppContext = Context<AppEnv>;
