import { bad, busy, type ErrorPolicy, missing } from './error-policy.ts';
import { addPolicies, ERRORS } from './errors.ts';

/**
 * What a router alone refuses. Whoever only hears of it takes the policy from the wire, and need not carry these texts along; whoever says it imports this
 * module first.
 */
export const REFUSALS = {
  invalid_multipart: bad('Send multipart/form-data with the parts purpose and file.'),
  body_too_slow: { ...bad('Send the body without pauses of more than 20 seconds.'), status: 408 },
  file_too_large: { ...bad('Split the file: 32 MiB is the limit.'), status: 413 },
  storage_full: { ...bad('Delete files that are not needed any more.'), status: 413 },
  unsupported_media_type: {
    ...bad('Send content-type application/json, or multipart/form-data for a file.'),
    status: 415,
  },
  file_not_found: missing('Check the id, and that it is asked for with the apiKey that uploaded it. Files expire.'),
  batch_not_found: missing('Check the id, and that it is asked for with the apiKey that made the batch.'),
  method_not_allowed: { ...bad('Use the method that the Allow header names.'), status: 405 },
  tab_not_found: missing('Check the id.'),
  tab_proof_invalid: { ...bad('Sign the statement with the key of the tab, for this router, now.'), status: 403 },
  pairing_not_found: missing('Ask the owner of the account for a new code: POST /v1/account/pairings.'),
  already_paired: {
    ...bad('End the pairing at /join, or DELETE /v1/account/devices/:tab, and pair again.'),
    status: 409,
  },
  device_not_found: missing('GET /v1/account/devices lists the devices of the account.'),
  too_many_devices: { ...bad('Remove devices that are not needed any more.'), status: 403 },
  invalid_api_key: {
    ...bad('Use a key that the operator or POST /v1/keys gave out, or none where that is allowed.'),
    status: 401,
  },
  key_not_allowed: { ...bad('Use a key whose limits allow this, or change the request.'), status: 403 },
  key_not_found: missing('GET /v1/keys lists the keys of the account.'),
  insufficient_quota: {
    status: 402,
    type: 'insufficient_quota',
    retryable: false,
    next: 'GET /v1/account shows what is free and what is held. Ask for fewer tokens or a lower level, wait for work under way, or ask the operator for credits.',
  },
  rate_limit_exceeded: {
    status: 429,
    type: 'rate_limit_error',
    retryable: true,
    next: 'Try again after the time in Retry-After.',
  },
  transfer_conflict: { ...bad('Use a new id for a new transfer.'), status: 409 },
  operator_only: { ...bad('Use npm run tab or npm run credits.'), status: 403 },
  task_token_invalid: { ...bad('Send the token of the lease record as shoal-task-token.'), status: 403 },
  session_not_found: missing('Check the id, and the key that set the session up; or set one up: POST /v1/sessions.'),
  session_mismatch: bad('Ask for what the session allows: GET /v1/sessions/:id shows it, PATCH changes it.'),
  price_above_ceiling: bad('Ask for fewer tokens, a lower level or a smaller model, or raise the price ceiling.'),
  session_exhausted: {
    ...bad(
      'Wait for tasks under way, they give back what they do not use; or raise the limit: PATCH /v1/sessions/:id.',
    ),
    status: 402,
  },
  session_busy: {
    ...bad('Try again after the time in Retry-After, or raise tabs.max or the budget.'),
    status: 429,
    retryable: true,
  },
  too_many_sessions: { ...bad('Delete sessions that are not needed any more.'), status: 403 },
  idempotency_mismatch: { ...bad('Use a new key for another request.'), status: 409 },
  idempotency_in_progress: {
    ...bad('Try again after the time in Retry-After, or follow the task that shoal-task names.'),
    status: 409,
    retryable: true,
  },
  idempotency_done: { ...bad('Use a new key to run it again, and store: true to have the answer kept.'), status: 409 },
  batch_over: { ...bad('Nothing: it has ended.'), status: 409 },
  too_many_batches: { ...bad('Wait until one has ended.'), status: 429, retryable: true },
  deadline_unreachable: busy('Try again after the time in Retry-After, or allow more time.'),
  router_not_configured: busy('The operator must set SHOAL_ROUTER_SECRET.'),
} as const satisfies Record<string, ErrorPolicy>;

addPolicies(REFUSALS);

/** The whole vocabulary. */
export const ERROR_POLICIES = { ...ERRORS, ...REFUSALS } as const;
