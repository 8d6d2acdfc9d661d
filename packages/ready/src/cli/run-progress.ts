import type { SuiteBegin } from "../certify/certify.ts";
import type { RequirementResult } from "../suite/report.ts";
import type { Terminal } from "./terminal.ts";

/** Shows how far a run is: on a terminal in one line that is written over, elsewhere a line for each suite and each failure. */
export class RunProgress {
  readonly #terminal: Terminal;
  #begin: SuiteBegin | undefined;
  #done = 0;
  #failed = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  begin(begin: SuiteBegin): void {
    this.#begin = begin;
    this.#done = 0;
    this.#failed = 0;
    if (this.#terminal.isTTY !== true)
      this.#terminal.write(`${this.#title()}: ${begin.count} ${begin.count === 1 ? "requirement" : "requirements"}\n`);
  }

  result({ id, status, message }: RequirementResult): void {
    this.#done += 1;
    const failed = status === "fail" || status === "error";
    if (failed) this.#failed += 1;
    if (this.#terminal.isTTY === true) {
      const { count = 0 } = this.#begin ?? {};
      const failures = this.#failed === 0 ? "" : `, ${this.#failed} failed`;
      const line = `${this.#title()}  ${this.#done}/${count}${failures}  ${id}`;
      this.#terminal.write(`\r\u001b[2K${line.slice(0, (this.#terminal.columns ?? 80) - 1)}`);
    } else if (failed) {
      this.#terminal.write(`  ${status}  ${id}: ${message?.split("\n")[0] ?? ""}\n`);
    }
  }

  /** Takes the line away. */
  end(): void {
    if (this.#terminal.isTTY === true) this.#terminal.write("\r\u001b[2K");
  }

  #title(): string {
    const { point = "", contractVersion = "", transport } = this.#begin ?? {};
    return `${point} ${contractVersion}, ${transport === "pipe" ? "over the pipe" : "direct"}`;
  }
}
