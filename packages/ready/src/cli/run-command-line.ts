import { resolve } from "node:path";
import { type ParseArgsConfig, parseArgs } from "node:util";
import { isVdcError } from "@vdc-os/core";
import { createSigningKey } from "../certificate/signing-key.ts";
import { kitVersion } from "../kit-version.ts";
import { runCertify } from "./certify-command.ts";
import { runList } from "./list-command.ts";
import type { Terminal } from "./terminal.ts";
import { usage } from "./usage.ts";
import { runVerify } from "./verify-command.ts";

/** One run of `vdc-ready`. */
export interface CommandLine {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  readonly signal?: AbortSignal | undefined;
}

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

const options = {
  help: { ...flag, short: "h" },
  version: flag,
  pack: flag,
  quiet: { ...flag, short: "q" },
  plugin: text,
  factory: { ...text, multiple: true },
  waivers: text,
  transport: text,
  level: text,
  only: text,
  timeout: text,
  json: text,
  junit: text,
  html: text,
  certificate: text,
  key: text,
  tarball: text,
  installed: text,
} as const satisfies ParseArgsConfig["options"];

/** Runs a command line of `vdc-ready`. Returns the exit code; never rejects. */
export async function runCommandLine(line: CommandLine): Promise<number> {
  try {
    const { values, positionals } = parseArgs({ args: [...line.args], options, allowPositionals: true });
    const [command, what, ...more] = positionals;
    if (values.version === true) {
      line.stdout.write(`${kitVersion}\n`);
      return 0;
    }
    if (values.help === true || command === undefined) {
      (values.help === true ? line.stdout : line.stderr).write(usage);
      return values.help === true ? 0 : 2;
    }
    if (more.length > 0) throw new UsageError(`'${more.join(" ")}' is too much`);
    if (command === "key") return await runKey(what ?? "vdc-ready.key", line);
    if (command === "list") return await runList(what, line);
    if (command === "verify") {
      if (what === undefined) throw new UsageError("give the file of a certificate");
      return await runVerify(what, values, line);
    }
    if (what !== undefined) throw new UsageError(`'${command}' is no command, and '${what}' is too much for a package`);
    return await runCertify(command, values, line);
  } catch (error) {
    if (line.signal?.aborted === true) {
      line.stderr.write("vdc-ready: interrupted\n");
      return 130;
    }
    line.stderr.write(`vdc-ready: ${messageOf(error)}\n`);
    return 2;
  }
}

async function runKey(path: string, { cwd, stdout }: CommandLine): Promise<number> {
  const { privatePath, publicPath, keyId } = await createSigningKey(resolve(cwd, path));
  stdout.write(`${keyId}\n  keep secret: ${privatePath}\n  publish:     ${publicPath}\n`);
  return 0;
}

class UsageError extends Error {}

function messageOf(error: unknown): string {
  if (error instanceof UsageError) return `${error.message}\nSee 'vdc-ready --help'.`;
  if (isVdcError(error)) return error.message;
  const { code, message } = error as { readonly code?: string; readonly message?: string };
  if (code?.startsWith("ERR_PARSE_ARGS") === true) return `${message}\nSee 'vdc-ready --help'.`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
