/** What files and batches may be, with unit and reason. They are listed in docs/batches.md. */

/** Largest uploaded file, bytes: 50,000 short requests. All that is held in memory of it at once is a piece. */
export const MAX_FILE_BYTES = 32 * 1024 * 1024;

/** A file is kept in pieces of so many bytes: a row of a Durable Object's SQLite holds 2 MB. */
export const PIECE_BYTES = 512 * 1024;

/** Most files of one owner, and most bytes of all of them: an object holds 10 GB, and anonymous owners are many. */
export const MAX_FILES = 1_000;
export const MAX_OWNED_BYTES = 512 * 1024 * 1024;

/** Longest name of a file, characters. */
export const MAX_FILENAME_LENGTH = 255;

/** How long a file is kept that says nothing else, and the least that it may say, ms. OpenAI's own bounds: an hour to 30 days. */
export const FILE_KEPT_MS = 30 * 24 * 60 * 60 * 1000;
export const MIN_FILE_KEPT_MS = 60 * 60 * 1000;

/** An upload that stopped is thrown away after this time, ms. */
export const UPLOAD_DEADLINE_MS = 10 * 60 * 1000;

/** Most requests in a batch: OpenAI's limit. */
export const MAX_BATCH_LINES = 50_000;

/** Most batches of one owner that are not over, and most that are remembered. */
export const MAX_OPEN_BATCHES = 20;
export const MAX_BATCHES = 1_000;

/** How long a batch that is over is remembered, ms. As its files. */
export const BATCH_KEPT_MS = FILE_KEPT_MS;

/** Shortest and longest completion window, ms. OpenAI knows 24 hours only. */
export const MIN_WINDOW_MS = 60 * 1000;
export const MAX_WINDOW_MS = 24 * 60 * 60 * 1000;

/** Most faults of lines that a batch's own `errors` lists; the error file has them all. */
export const MAX_LISTED_ERRORS = 100;

/** Longest `custom_id`, characters; and `metadata` as OpenAI bounds it. */
export const MAX_CUSTOM_ID_LENGTH = 512;
export const MAX_METADATA_KEYS = 16;
export const MAX_METADATA_KEY_LENGTH = 64;
export const MAX_METADATA_VALUE_LENGTH = 512;

/** How often a line is run whose tab was lost, or that failed in another way that may pass. Waiting for a free tab does not count. */
export const MAX_ATTEMPTS = 5;

/** After a failure that may pass a line rests so long, ms; twice as long after the next. */
export const RETRY_MS = 1_000;

/** Most lines of one owner that run at the same time: each holds its request and its answer in the object's memory of 128 MB. */
export const MAX_LINES_AT_ONCE = 32;
