import type { Progress } from "@vdc-os/core";
import { ProgressLine, type ProgressStream } from "./progress-line.ts";
import { createStyle, hasColours, type Style } from "./style.ts";

/** What a command shows of its progress. */
export interface ShownProgress {
  readonly update: (progress: Progress & { readonly doneBytes?: number | undefined }) => void;
}

/** Options of {@link Terminal}. */
export interface TerminalOptions {
  readonly stdout: ProgressStream;
  readonly stderr: ProgressStream;
  readonly env: NodeJS.ProcessEnv;
  /** Results are printed as JSON, and nothing else. */
  readonly json: boolean;
}

/** Where a command prints. Results go to standard output; everything else to standard error, so that a pipe gets results alone. */
export class Terminal {
  readonly json: boolean;
  /** Of standard output. */
  readonly style: Style;
  readonly columns: number;
  /** How long a line may be: as long as it likes where nobody sees it on a terminal. */
  readonly width: number | undefined;
  readonly #options: TerminalOptions;

  constructor(options: TerminalOptions) {
    this.#options = options;
    this.json = options.json;
    this.style = createStyle(hasColours(options.stdout, options.env));
    this.columns = options.stdout.columns ?? 80;
    this.width = options.stdout.isTTY === true ? options.stdout.columns : undefined;
  }

  /** Prints a command's result: as JSON where that was asked for, else as text for people. */
  result(value: object, text: () => string): void {
    this.#options.stdout.write(`${this.json ? JSON.stringify(value, undefined, 2) : text()}\n`);
  }

  /** Says something beside the result. Nothing with JSON, where standard error is for errors alone. */
  note(text: string): void {
    if (!this.json) this.#options.stderr.write(`${text}\n`);
  }

  /** Runs something long, and shows how far it is. */
  async progress<T>(
    label: string,
    run: (shown: ShownProgress) => Promise<T>,
    options: { readonly totalBytes?: number | undefined } = {},
  ): Promise<T> {
    if (this.json) return run({ update: () => {} });
    const line = new ProgressLine({ stream: this.#options.stderr, label, totalBytes: options.totalBytes });
    try {
      return await run({ update: (progress) => line.update(progress) });
    } finally {
      line.end();
    }
  }
}
