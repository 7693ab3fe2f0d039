const [major = 0] = process.versions.node.split('.').map(Number);

/** Programs started through npm run on the Node 22 that the lock file brings; where it is missing, say so before anything fails strangely. */
if (major < 22) {
  console.error(`This needs Node 22 or later, and runs on ${process.versions.node}.
npm scripts use the Node that \`npm ci\` installs. It is missing here: run \`npm ci\` again without --omit=optional, or install Node 22.`);
  process.exit(1);
}
