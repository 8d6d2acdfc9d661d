import { basename, relative, resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";
import { readContractFacets } from "./contract-facets.ts";
import { CreatePluginError, createPlugin } from "./create-plugin.ts";
import { type ExtensionPoint, extensionPoints, type PointName } from "./extension-point.ts";
import { type LicenseName, licenseNames } from "./license-file.ts";
import { likelyRepository } from "./repository-url.ts";

/** One run of the command. */
export interface CommandLine {
  readonly args: readonly string[];
  readonly cwd: string;
  /** Where questions are answered. `undefined`: none is asked. */
  readonly stdin?: NodeJS.ReadableStream | undefined;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

const usage = `Writes a plugin of VDC-OS, which compiles and is certified as it stands.

  npm create @vdc-os/plugin [<folder>] -- [options]

  --point <point>      storage, network, compute, cloud, state, secret, backup
  --name <package>     its name, such as @acme/vdc-storage
  --facets <a,b>       facets of the contract to begin with
  --license <license>  ${licenseNames.join(", ")}
  --repository <url>   where its source is, such as https://github.com/acme/vdc-storage

What is not given is asked, where somebody is there to answer.
`;

/** Runs the command. Returns the exit code; never rejects. */
export async function runCommandLine(line: CommandLine): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args: [...line.args],
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h" },
        point: { type: "string" },
        name: { type: "string" },
        facets: { type: "string" },
        license: { type: "string" },
        repository: { type: "string" },
      },
    });
    if (values.help === true) {
      line.stdout.write(usage);
      return 0;
    }
    if (positionals.length > 1) throw new CreatePluginError(`'${positionals.slice(1).join(" ")}' is too much`);
    await using questions = new Questions(line);
    const point = values.point ?? (await questions.point());
    const found = extensionPoints.find((candidate) => candidate.name === point);
    const name = values.name ?? (await questions.ask("Name of the package", found?.packageName));
    const facets = values.facets ?? (found === undefined ? "" : await questions.facets(found));
    const folder = positionals[0] ?? (await questions.ask("Folder", basename(name ?? found?.packageName ?? "plugin")));
    const license = values.license ?? (await questions.ask(`Licence: ${licenseNames.join(", ")}`, licenseNames[0]));
    const likely = likelyRepository(name ?? found?.packageName ?? "");
    const repository = values.repository ?? (await questions.ask("Repository of its source", likely));
    const directory = resolve(line.cwd, folder ?? "");
    const made = await createPlugin({
      directory,
      point: point as PointName,
      name,
      facets: facets.split(/[\s,]+/).filter((facet) => facet !== ""),
      license: license as LicenseName,
      repository,
    });
    const where = relative(line.cwd, directory);
    line.stdout.write(`${made.name} is in '${where === "" ? "." : where}': ${made.files.length} files.

Next:
  1. ${where === "" ? "" : `cd ${where} && `}npm install
  2. npm test, then npm run certify: it is certified as it stands, in memory
  3. put your system in the place of ${made.begin}, and keep the tests green
  4. before it is published: 'repository' in package.json is ${made.repository}
`);
    return 0;
  } catch (error) {
    const { code, message } = error as { readonly code?: string; readonly message?: string };
    const isUsage = error instanceof CreatePluginError || code?.startsWith("ERR_PARSE_ARGS") === true;
    line.stderr.write(isUsage ? `${message}\n\n${usage}` : `${error instanceof Error ? error.stack : String(error)}\n`);
    return isUsage ? 2 : 1;
  }
}

/** Asks, where somebody is there to answer; elsewhere the default is the answer. */
class Questions implements AsyncDisposable {
  readonly #line: CommandLine;
  readonly #lines: ReturnType<typeof createInterface> | undefined;
  readonly #answers: AsyncIterator<string> | undefined;

  constructor(line: CommandLine) {
    this.#line = line;
    this.#lines = line.stdin === undefined ? undefined : createInterface({ input: line.stdin });
    this.#answers = this.#lines?.[Symbol.asyncIterator]();
  }

  async ask(question: string, otherwise: string | undefined): Promise<string | undefined> {
    if (this.#answers === undefined) return otherwise;
    this.#line.stdout.write(`${question}${otherwise === undefined || otherwise === "" ? "" : ` (${otherwise})`}: `);
    const { value = "" } = (await this.#answers.next()) as { readonly value?: string };
    return value.trim() === "" ? otherwise : value.trim();
  }

  async point(): Promise<string> {
    if (this.#answers !== undefined) {
      for (const { name, summary } of extensionPoints) this.#line.stdout.write(`  ${name.padEnd(8)} ${summary}\n`);
    }
    const answer = await this.ask("Extension point", undefined);
    if (answer === undefined) throw new CreatePluginError("say which extension point: '--point storage'");
    return answer;
  }

  async facets({ name, facets }: ExtensionPoint): Promise<string> {
    if (facets === undefined || this.#answers === undefined) return "";
    this.#line.stdout.write(`  facets: ${Object.keys(readContractFacets()[name]).join(", ")}\n`);
    return (await this.ask("Facets, with commas between them", "none"))?.replace(/^none$/, "") ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lines?.close();
  }
}
