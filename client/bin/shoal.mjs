#!/usr/bin/env node
// Plain JavaScript, so that an old Node gets a sentence instead of a syntax error.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(`shoal needs Node 22.18 or later, and runs on ${process.versions.node}.`);
  process.exit(1);
}
const [command, ...rest] = process.argv.slice(2);
// An audit needs a browser and the built pages: it is a command of the repository, and the client package stays free of both.
const isAudit = command === 'audit';
const { main } = await import(isAudit ? '../../scripts/audit.ts' : '../cli.ts');
process.exitCode = await main(isAudit ? rest : process.argv.slice(2));
