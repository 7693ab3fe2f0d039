/** The headers of the section for every path in a `_headers` file. */
export function securityHeaders(file: string): Record<string, string> {
  const section = file.split(/\n(?=\/)/).find((part) => part.startsWith('/*\n')) ?? '';
  return Object.fromEntries(
    section
      .split('\n')
      .slice(1)
      .filter((line) => line.includes(':'))
      .map((line) => [line.slice(0, line.indexOf(':')).trim(), line.slice(line.indexOf(':') + 1).trim()]),
  );
}
