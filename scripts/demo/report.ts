/** What the demo says: steps that held or did not, and figures. Exit status 0 only when every step held. */
export class Report {
  readonly #failed: string[] = [];
  readonly #colour = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;

  get failed(): readonly string[] {
    return this.#failed;
  }

  title(text: string): void {
    console.log(`\n${this.#paint('1', text)}`);
  }

  say(text: string): void {
    console.log(text);
  }

  figure(name: string, value: string): void {
    console.log(`  ${name.padEnd(30)} ${value}`);
  }

  /** A step of the demo. `held` false makes the demo fail, with the step's name. */
  step(name: string, held: boolean, detail: string): void {
    const mark = held ? this.#paint('32', 'held') : this.#paint('31', 'FAILED');
    console.log(`  ${name.padEnd(30)} ${mark}: ${detail}`);
    if (!held) this.#failed.push(name);
  }

  #paint(code: string, text: string): string {
    return this.#colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}
