#!/usr/bin/env node
import { readFileSync, realpathSync, writeFileSync } from "node:fs";
import { argv } from "node:process";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { generateTypes } from "../modelgen/generate-types.ts";
import { parseSchema } from "../schema/parse-schema.ts";

const USAGE = `vdc-ovsdb-modelgen: TypeScript types and a model for an OVSDB schema.

  vdc-ovsdb-modelgen [--name Name] [--import specifier] [--out file.ts] schema.ovsschema

  --name    what the model is called; the database's name in Pascal case unless given
  --import  where the generated module imports its types from; @vdc-os/ovsdb unless given
  --out     the file to write; standard output unless given
`;

/** Runs the command. Returns its exit status. */
export function runModelgen(args: readonly string[]): number {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        name: { type: "string" },
        import: { type: "string" },
        out: { type: "string" },
        help: { type: "boolean" },
      },
    });
    if (values.help || positionals.length !== 1) {
      process.stderr.write(USAGE);
      return values.help ? 0 : 2;
    }
    const schema = parseSchema(JSON.parse(readFileSync(positionals[0]!, "utf8")));
    const text = generateTypes(schema, {
      ...(values.name === undefined ? {} : { name: values.name }),
      ...(values.import === undefined ? {} : { importFrom: values.import }),
    });
    if (values.out === undefined) process.stdout.write(text);
    else writeFileSync(values.out, text);
    return 0;
  } catch (error) {
    process.stderr.write(`vdc-ovsdb-modelgen: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

// A command that npm links is run by its link's name.
if (argv[1] !== undefined && import.meta.url === pathToFileURL(realpathSync(argv[1])).href) {
  process.exitCode = runModelgen(argv.slice(2));
}
