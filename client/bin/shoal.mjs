#!/usr/bin/env node
// Plain JavaScript, so that an old Node gets a sentence instead of a syntax error.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(`shoal needs Node 22.18 or later, and runs on ${process.versions.node}.`);
  process.exit(1);
}
const { main } = await import('../cli.ts');
process.exitCode = await main(process.argv.slice(2));
