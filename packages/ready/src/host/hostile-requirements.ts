import type { EnsureProcess } from "@vdc-os/core/host/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  begun,
  commandSpec,
  ensure,
  ensurePlane,
  type HostRequirement,
  logOf,
  ownerOf,
  planeSpec,
  remove,
  request,
  startsOf,
  statesOf,
} from "./host-instance.ts";

/** Ids that mean something elsewhere: to a file system, to JavaScript, to a runtime's own files. */
const meaningful = [
  "0",
  "a..b",
  "a.json",
  "con",
  "constructor",
  "host",
  "host.sock",
  "processes",
  "runtime",
  "x".repeat(40),
].sort();

/** What is no id. */
const noIds = ["", ".", "..", "../a", "a/b", "/a", "A", "a b", "a\n", "a\0", "-a", "\u00e9", "x".repeat(41)];

/** What is no module of a host. */
const noModules = [
  "",
  "-e",
  "--version",
  "../../../../etc/hostname",
  "file://elsewhere.invalid/plane.js",
  "file:///no/such\u0000plane.js",
  "file:%2e",
  "data:text/javascript,process.exit(0)",
  "https://example.invalid/plane.js",
  "node:fs",
  "/",
  "x".repeat(10_000),
];

/** Input that is made to do harm. */
export const hostileRequirements: readonly HostRequirement[] = [
  {
    id: "host.hostile.ids",
    title: "every id that the contract allows is a process's own, whatever it means elsewhere",
    clause: 'EnsureProcess.processId: "Any such id is a process\'s, and none means anything to the host."',
    level: "core",
    async run(test) {
      await Promise.all(meaningful.map((id) => ensure(test, commandSpec(test, id, "stay"))));
      mustEqual(
        await statesOf(test),
        meaningful.map((id) => `${id} running`),
        "the processes",
      );
      await Promise.all(meaningful.map((id) => begun(test, id)));
      for (const id of meaningful) mustEqual(await logOf(test, id), `command ${id} begins\n`, `the log of '${id}'`);
      const longest = "x".repeat(40);
      await ensurePlane(test, longest);
      mustEqual(await request(test, longest, "echo", 1), 1, "what a module with the longest id answers");
      await Promise.all(meaningful.map((id) => remove(test, id)));
      mustEqual(await statesOf(test), [], "the processes after all were removed");
    },
  },
  {
    id: "host.hostile.no-ids",
    title: "what is no id is refused, and reaches no other process and no file",
    clause:
      'EnsureProcess.processId: "1 to 40 lower-case letters, digits, `.`, `_` and `-`, beginning with a letter or digit"',
    level: "core",
    async run(test) {
      const before = await ensurePlane(test, "a");
      for (const processId of noIds) {
        const spec = { ...commandSpec(test, "a", "stay"), processId };
        await mustReject(ensure(test, spec), "INVALID_ARGUMENT", `a process '${processId}'`);
        const refused = ["INVALID_ARGUMENT", "NOT_FOUND"] as const;
        await mustReject(request(test, processId, "echo"), refused, `a call of process '${processId}'`);
        await mustReject(logOf(test, processId), refused, `the log of process '${processId}'`);
        await remove(test, processId).catch((error) =>
          mustReject(Promise.reject(error), "INVALID_ARGUMENT", `a removal of process '${processId}'`),
        );
      }
      mustEqual(await test.provider.listProcesses({}, test.operation()), [before], "the processes");
      mustEqual([await request(test, "a", "echo", 1), await startsOf(test, "a")], [1, 1], "the other process");
    },
  },
  {
    id: "host.hostile.modules",
    title: "what is no module of the host is refused, and nothing of it runs",
    clause:
      'HostRuntime.ensureProcess: "`FAILED_PRECONDITION` when the program is not on the host or can\'t be started"',
    level: "core",
    async run(test) {
      for (const module of noModules) {
        const spec: EnsureProcess = { ...planeSpec(test, "a"), program: { kind: "module", module, config: null } };
        const refused = ["FAILED_PRECONDITION", "INVALID_ARGUMENT"] as const;
        await mustReject(ensure(test, { ...spec, restart: "never" }), refused, `the module '${module.slice(0, 60)}'`);
        mustEqual(await statesOf(test), [], "the processes");
      }
    },
  },
  {
    id: "host.hostile.nul",
    title: "what no process can be given is refused, and leaves nothing",
    clause:
      'HostRuntime.ensureProcess: "`INVALID_ARGUMENT` for what no process can be given, such as a NUL in an argument"',
    level: "core",
    async run(test) {
      const spec = commandSpec(test, "a", "stay");
      const specs: readonly EnsureProcess[] = [
        commandSpec(test, "a", "stay", "cut\u0000off"),
        { ...spec, program: { kind: "command", command: "no\u0000program", args: [] } },
        { ...spec, program: { kind: "command", command: "", args: [] } },
        { ...spec, owner: ownerOf("a", "dc\u0000-1") },
      ];
      for (const [index, one] of specs.entries()) {
        await mustReject(ensure(test, one), ["INVALID_ARGUMENT", "FAILED_PRECONDITION"], `spec ${index}`);
        mustEqual(await statesOf(test), [], "the processes");
      }
      must((await ensure(test, spec)).state === "running", "the next process must run");
    },
  },
];
