/** Every number that two parties must agree on, with its unit and its reason. */

/** Largest body of a POST, bytes. A long-context prompt is a few hundred kilobytes; more is a mistake or an attack. */
export const MAX_REQUEST_BODY_BYTES = 1024 * 1024;

/** Largest sealed envelope, bytes: a full request body, its JSON escapes, and the wrapping. */
export const MAX_ENVELOPE_BYTES = 2 * MAX_REQUEST_BODY_BYTES;

/** Largest JSON message on a tab’s socket, bytes. The longest honest one is a commit: about 27 for each 64 bytes of answer. */
export const MAX_CONTROL_MESSAGE_BYTES = 1024 * 1024;

/**
 * Longest answer, UTF-8 bytes. A commit lists a link of the chain for every 64 bytes and must fit one message on the socket, and a model may write
 * tokens of a hundred spaces each. This is 6 bytes for each of the most tokens that may be asked for: half more than text needs. A receipt holds the
 * chains of up to seven tabs. Answering tab and checker must cut at the same byte, or their chains differ.
 */
export const MAX_ANSWER_BYTES = 192 * 1024;

/**
 * Longest statement of a tab about an answer, as the characters of its payload when it is written into JSON twice: into the receipt, and the receipt into
 * storage. Chain and two embeddings of the longest answer fit. Seven of these fit a statement of a million characters, and a row of 2 MB in SQLite beside the task.
 */
export const MAX_TAB_STATEMENT = 116 * 1024;

/** Largest sealed frame, bytes. Tabs cut longer text into several frames. */
export const MAX_FRAME_BYTES = 16 * 1024;

/** Most tokens that one request may ask for. */
export const MAX_OUTPUT_TOKENS = 32_768;

/** Most messages in one conversation. */
export const MAX_MESSAGES = 1024;

/** Most stop strings (OpenAI's limit) and their length, characters. */
export const MAX_STOP_STRINGS = 4;
export const MAX_STOP_LENGTH = 128;

/** Bytes of answer that one link of the digest chain covers. About 16 tokens: a false block is a short passage. */
export const CHAIN_BLOCK_BYTES = 64;

/** One-time keys that a tab posts at once, and the stock at which the router asks for more. */
export const ONE_TIME_KEY_BATCH = 16;
export const ONE_TIME_KEY_LOW_WATER = 6;

/** How long a lease may wait for its envelope and the tab's ack, ms. */
export const ACK_DEADLINE_MS = 15_000;

/** Longest prefill, ms: the time from ack to the first frame. A slow phone reads 2,000 tokens in about a minute. */
export const FIRST_FRAME_DEADLINE_MS = 180_000;

/** Longest silence between two frames of a running answer, ms. The slowest useful tab writes a token a second. */
export const FRAME_GAP_DEADLINE_MS = 30_000;

/** Longest life of one subtask, ms. */
export const SUBTASK_DEADLINE_MS = 600_000;

/** How long the router waits for a tab that dropped its socket to come back with the same identity, ms. */
export const RECONNECT_GRACE_MS = 5_000;

/**
 * Requests that may wait for a free tab (or one for each tab, where there are more), and for how long, ms; those of class `batch` longer. Beyond: 503 with
 * Retry-After.
 */
export const MAX_WAITING_REQUESTS = 64;
export const MAX_WAIT_MS = 30_000;
export const MAX_BATCH_WAIT_MS = 10 * 60 * 1000;

/** How long a tab keeps an answer: for a client that lost its connection, and for a checker, ms. Longer than the slowest check takes. */
export const ANSWER_KEPT_MS = 360_000;

/** Check round: time to be given the body key, to run again, to be shown the answer and reveal, ms. */
export const WRAP_DEADLINE_MS = 15_000;
export const CHECK_DEADLINE_MS = 300_000;
export const REVEAL_DEADLINE_MS = 15_000;

/** Tabs among which a checker is drawn; they are listed in the receipt, at 60 bytes each. */
export const MAX_CANDIDATES = 32;

/** Checkers that are drawn for one answer, one after the other: three that agree, one that settles a dispute, and replacements for two that are lost. */
export const MAX_DRAWS = 6;

/** How long a tab tries a direct link to another tab before it hands a subtask on by relay, ms. */
export const LINK_DEADLINE_MS = 3_000;

/** How long the router waits for a tab to hand a subtask on before it asks the client to do it, ms. */
export const HAND_ON_DEADLINE_MS = 6_000;

/** How long a checker waits to be shown the first answer before it reveals without, ms. */
export const SHOWN_DEADLINE_MS = 6_000;

/** Longest wait for ICE candidates before the one offer or answer is sent, ms. */
export const ICE_GATHER_MS = 300;

/** Direct links that a tab keeps open at once. */
export const MAX_LINKS = 8;

/** Message size on a data channel, bytes: the largest that every browser takes whole. */
export const LINK_CHUNK_BYTES = 16 * 1024;

/** Send-buffer marks of a data channel, bytes: stop above the high one, go on below the low one. */
export const LINK_BUFFER_HIGH_BYTES = 1024 * 1024;
export const LINK_BUFFER_LOW_BYTES = 256 * 1024;

/** How long a session keeps a receipt, ms: 30 days. */
export const RECEIPT_KEPT_MS = 30 * 24 * 60 * 60 * 1000;

/** Most entries of the log of receipts in one response: 1,000 digests are about 45 KB. */
export const MAX_LOG_ENTRIES = 1_000;

/** Longest time from the end of a task to its receipt in the log, ms, unless the network is broken: the log is filled off every request's path, with retries. */
export const MAX_LOG_DELAY_MS = 10 * 60 * 1000;

/** Private answers are padded to steps of this many bytes, because sizes of single tokens leak words. */
export const PAD_STEP_BYTES = 64;

/**
 * Largest piece of a model file, bytes: a static asset on Workers may have 25 MiB, and is always sent from its first byte, so that a connection that is cut costs up to a
 * piece.
 */
export const MODEL_PIECE_BYTES = 8 * 1024 * 1024;

/**
 * Likeliest next tokens that an engine names in a probe. They should hold the nucleus of a sampled answer, and the token that its author took: with 20 of them
 * one honest answer in a hundred was cut otherwise than it was written.
 */
export const PROBE_CANDIDATES = 40;

/** Characters of an answer between two cuts at which a checker guesses blindly: about one block of the digest chain, so that a chunk costs one message. */
export const GUESS_CHUNK_CHARACTERS = 48;

/** Most cuts of an answer at which a checker guesses: each costs a message, and a read of what came before. What follows the last is shown whole. */
export const MAX_GUESSES = 16;

/** Tokens that a blind guess names. More would let a checker that guesses anything be right. */
export const GUESS_CANDIDATES = 3;

/** Longest token that a guess names, characters; few vocabularies have one of more than a hundred. */
export const MAX_GUESS_LENGTH = 256;

/** Longest life of a session that is set up, seconds: as long as its receipts are kept. `PATCH` renews it. */
export const MAX_SESSION_LIFE_S = RECEIPT_KEPT_MS / 1000;

/** Most tabs in a session's list of those that may, or may not, read its prompts: 256 names are 12 KB. */
export const MAX_PLACED_TABS = 256;

/** Most devices of one account: as many as a placement may name. */
export const MAX_DEVICES = MAX_PLACED_TABS;

/** Most sessions that one owner has set up at a time: each is an object with storage of its own. */
export const MAX_SESSIONS_PER_OWNER = 256;
/** Most choices of one request: OpenAI's limit. */
export const MAX_CHOICES = 128;

/** Tabs that may write one answer at the same time: with a check of each, ten executions. */
export const MAX_REDUNDANCY = 5;

/** Most prompts of one completion request, and answers in all: each is a task of its own. */
export const MAX_PROMPTS = 256;

/** Most texts of one embedding request: OpenAI's limit. */
export const MAX_EMBEDDING_INPUTS = 2_048;

/** Longest document of a map, UTF-8 bytes: with its JSON escapes it fits the body of a POST. */
export const MAX_DOCUMENT_BYTES = 512 * 1024;

/** Parts of one document: each is a task of its own, and one Worker follows them all. */
export const MAX_DOCUMENT_PARTS = 1_024;

/** Longest time for a map, ms, and what it has when it does not say. */
export const MAX_MAP_MS = 60 * 60 * 1000;
export const MAP_MS = 15 * 60 * 1000;

/** Classes that the router names as short at once: more than a tab could choose among. */
export const MAX_WANTED_CLASSES = 8;
