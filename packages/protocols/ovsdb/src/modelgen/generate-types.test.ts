import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { runModelgen } from "../bin/modelgen.ts";
import { modelSchema } from "../model/database-model.ts";
import { OpenVSwitch } from "../models/open-vswitch.ts";
import { OvnNorthbound } from "../models/ovn-northbound.ts";
import { OvnSouthbound } from "../models/ovn-southbound.ts";
import { columnShape } from "../schema/column-type.ts";
import { parseSchema } from "../schema/parse-schema.ts";
import { generateTypes, pascalCase } from "./generate-types.ts";

const folder = mkdtempSync(join(tmpdir(), "ovsdb-modelgen-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const schema = {
  name: "Play_ground",
  version: "1.2.3",
  tables: {
    Some_Table: {
      isRoot: true,
      maxRows: 1,
      indexes: [["name"]],
      columns: {
        name: { type: "string", mutable: false },
        mode: { type: { key: { type: "string", enum: ["set", ["on", "off"]] }, min: 0 } },
        levels: { type: { key: { type: "integer", minInteger: 0, maxInteger: 7 }, min: 0, max: 3 } },
        peers: { type: { key: { type: "uuid", refTable: "peer", refType: "weak" }, min: 0, max: "unlimited" } },
        queues: { type: { key: "integer", value: { type: "uuid", refTable: "peer" }, min: 0, max: "unlimited" } },
        labels: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
        status: { type: { key: { type: "string", enum: "up" }, value: "real", min: 0 }, ephemeral: true },
      },
    },
    peer: { columns: { up: { type: "boolean" } } },
  },
};

describe("generated types", () => {
  const text = generateTypes(parseSchema(schema));

  test.each([
    "export interface SomeTableRow {",
    '  readonly _uuid: Uuid<"Some_Table">;',
    '  readonly mode: "off" | "on" | undefined;',
    "  /** 0 to 7; at most 3 elements. */\n  readonly levels: readonly number[];",
    '  /** Weak reference. */\n  readonly peers: readonly Uuid<"peer">[];',
    '  readonly queues: ReadonlyMap<number, Uuid<"peer">>;',
    "  readonly labels: Readonly<Record<string, string>>;",
    '  /** Not kept over a restart of the server. */\n  readonly status: Readonly<Partial<Record<"up", number>>>;',
    '  readonly Some_Table: Table<SomeTableRow, "name">;',
    "  readonly peer: Table<PeerRow>;",
    "export const PlayGround: DatabaseModel<PlayGroundTables> = {",
    'import type { DatabaseModel, Table, Uuid } from "@vdc-os/ovsdb";',
  ])("say %j", (line) => {
    expect(text).toContain(line);
  });

  test("the command writes them, and says what is wrong", () => {
    const errors = vi.spyOn(process.stderr, "write").mockImplementation(() => true);
    try {
      const file = join(folder, "in.ovsschema");
      const out = join(folder, "out.ts");
      expect(runModelgen(["--out", out, file])).toBe(1);
      expect(runModelgen([])).toBe(2);
      expect(errors.mock.calls.join("")).toMatch(/ENOENT[\s\S]*vdc-ovsdb-modelgen \[--name/);
    } finally {
      errors.mockRestore();
    }
  });

  test("names", () => {
    expect(["Logical_Switch_Port", "sFlow", "_x__y"].map(pascalCase)).toEqual(["LogicalSwitchPort", "SFlow", "XY"]);
  });
});

describe("the models of this package", () => {
  test.each([
    ["/usr/share/openvswitch/vswitch.ovsschema", OpenVSwitch],
    ["/usr/share/ovn/ovn-nb.ovsschema", OvnNorthbound],
    ["/usr/share/ovn/ovn-sb.ovsschema", OvnSouthbound],
  ])("have the columns that %s has", (path, model) => {
    const ours = modelSchema(model);
    expect(ours.tables.size).toBeGreaterThan(15);
    if (!existsSync(path)) {
      console.warn(`SKIPPED: '${path}' is not installed; the model '${model.name}' is not compared with it`);
      return;
    }
    const theirs = parseSchema(JSON.parse(readFileSync(path, "utf8")));
    if (theirs.version !== ours.version) {
      console.warn(`SKIPPED: '${path}' is of version ${theirs.version}, the model of ${ours.version}`);
      return;
    }
    const facts = ({ tables }: typeof ours) =>
      [...tables].map(([name, { columns, isRoot, maxRows, indexes }]) => ({
        name,
        isRoot,
        maxRows,
        indexes,
        columns: [...columns].map(([column, { type, mutable, ephemeral }]) => ({
          column,
          shape: columnShape(type),
          key: [type.key.type, type.key.refTable, type.key.refType],
          value: type.value && [type.value.type, type.value.refTable, type.value.refType],
          mutable,
          ephemeral,
        })),
      }));
    expect(facts(ours)).toEqual(facts(theirs));
  });
});
