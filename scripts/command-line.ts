import { type ParseArgsConfig, parseArgs } from 'node:util';

/** The arguments of a command. `--help` prints the usage and ends it; words that it does not know end it with status 2. */
export function readArguments<const T extends NonNullable<ParseArgsConfig['options']>>(usage: string, options: T) {
  try {
    const parsed = parseArgs({
      allowPositionals: true,
      options: { ...options, help: { type: 'boolean', short: 'h' } },
    });
    if ((parsed.values as { help?: boolean }).help === true) {
      console.log(usage);
      process.exit(0);
    }
    return parsed;
  } catch (cause) {
    console.error(`${cause instanceof Error ? cause.message : cause}\n\n${usage}`);
    process.exit(2);
  }
}

/** Something that a person can set right: commands print its message, without a stack. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** Runs a command; a {@link CommandError} is printed and ends it with status 1. */
export async function runCommand(command: () => Promise<void>): Promise<void> {
  try {
    await command();
  } catch (cause) {
    if (!(cause instanceof CommandError)) throw cause;
    console.error(cause.message);
    process.exitCode = 1;
  }
}
