import type { Hono } from 'hono';
import { PROBE_COLUMNS, toCsv } from '../../shared/checking/probe-row.ts';
import { ShoalError } from '../../shared/errors.ts';
import { isOperatorPass, routerKeys } from '../keys/router-keys.ts';
import { AllPools } from '../pool/all-pools.ts';
import { bearerOf } from './admission.ts';
import type { AppEnv } from './context.ts';

/** What idle tabs were seen to read of questions of the network, as rows of the data of calibration: for the operator, who looks at them before limits are made of them. */
export function calibrationRoutes(app: Hono<AppEnv>): void {
  app.get('/v1/calibration', async (c) => {
    const pass = bearerOf(c);
    if (pass === null || !(await isOperatorPass(await routerKeys(c.env.SHOAL_ROUTER_SECRET), pass))) {
      throw new ShoalError('operator_only', 'Only the operator of this router reads what it collected.');
    }
    const model = c.req.query('model');
    if (model === undefined) throw new ShoalError('invalid_value', "Name a 'model'.", { param: 'model' });
    const rows = await new AllPools(c.env).readings(model);
    return c.body(toCsv(rows, PROBE_COLUMNS), 200, { 'content-type': 'text/csv; charset=utf-8' });
  });
}
