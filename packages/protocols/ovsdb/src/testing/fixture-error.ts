/**
 * Why a fixture failed. `MISSING_PROGRAM`: not installed. `NOT_READY`: did not come up in time. `EXITED`: ended by itself. `FAILED`: a
 * command or a control call was refused. `PATH_TOO_LONG`: a Unix socket's path would not fit.
 */
export type FixtureErrorCode = "MISSING_PROGRAM" | "NOT_READY" | "EXITED" | "FAILED" | "PATH_TOO_LONG";

/** What the fixtures throw. The message names the program and ends with the last lines of its log. */
export class FixtureError extends Error {
  readonly code: FixtureErrorCode;

  constructor(code: FixtureErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.name = "FixtureError";
    this.code = code;
  }
}
