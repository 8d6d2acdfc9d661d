import { isAbsolute } from "node:path";
import type { Json } from "@vdc-os/core";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  begun,
  ensure,
  ensurePlane,
  type HostRequirement,
  ownerOf,
  pidOf,
  planeSpec,
  reopen,
  request,
  shortReadyMs,
  startsOf,
  statesOf,
  until,
} from "./host-instance.ts";

/** JSON that comes through only where nothing is made of it on the way. */
const strangeData: Json = {
  "": [null, true, -0.5, 1e300, { deep: [[[["x"]]]] }],
  constructor: "$(id) `id` %PATH% 'quoted' \"twice\" \\ \u0000 \n\r\t \u2028 \u{1f600} e\u0301",
  "a key = b": Number.MAX_SAFE_INTEGER,
};

/** What a host is, and how a data plane is run. */
export const ensureRequirements: readonly HostRequirement[] = [
  {
    id: "host.inventory.host",
    title: "the inventory says what the host is and has",
    clause: 'HostInventory: "What a host is and has."',
    level: "core",
    async run(test) {
      const { cpus, memoryBytes, directory, address, failureDomain } = await test.provider.inventory(
        {},
        test.operation(),
      );
      must(Number.isFinite(cpus) && cpus > 0, `a host must have processors, and has ${cpus}`);
      must(memoryBytes >= 2 ** 20, `a host must have memory, and has ${memoryBytes} bytes`);
      must(isAbsolute(directory), `the host's folder must be an absolute path, and is '${directory}'`);
      must(address !== "" && failureDomain !== "", "a host must have an address and a failure domain");
    },
  },
  {
    id: "host.inventory.stable",
    title: "a host is the same at each call, and when its runtime has been killed: it did not boot",
    clause: 'HostInventory: "Stable across restarts of the host." "New at every boot of the host."',
    level: "core",
    async run(test) {
      const first = await test.provider.inventory({}, test.operation());
      mustEqual(await test.provider.inventory({}, test.operation()), first, "the inventory, asked again");
      const again = await reopen(test);
      const { hostId, bootId, directory } = await again.provider.inventory({}, test.operation());
      const before = { hostId: first.hostId, bootId: first.bootId, directory: first.directory };
      mustEqual({ hostId, bootId, directory }, before, "the host after its runtime was killed");
    },
  },
  {
    id: "host.ensure.module",
    title: "a module runs when the call returns, answers, and is told as running",
    clause: 'HostRuntime.ensureProcess: "Resolves when it answers on its control socket (modules)"',
    level: "core",
    async run(test) {
      const spec = planeSpec(test, "a");
      const status = await ensure(test, spec);
      const { pid, startedAt, controlSocket, ...rest } = status;
      mustEqual(rest, { processId: "a", owner: spec.owner, state: "running", restarts: 0 }, "the status");
      must(pid !== undefined && pid > 0, "what runs must have a pid");
      must(startedAt !== undefined && startedAt > 0, "what runs must tell since when");
      const { directory } = await test.provider.inventory({}, test.operation());
      must(
        controlSocket?.startsWith(`${directory}/run/`) === true,
        `the control socket must lie in '${directory}/run', and is '${controlSocket}'`,
      );
      mustEqual(await request(test, "a", "echo", [1]), [1], "what it echoes");
      mustEqual(await test.provider.listProcesses({}, test.operation()), [status], "the list");
    },
  },
  {
    id: "host.ensure.config",
    title: "a module is told its config as it was given, whatever is in it",
    clause: 'EnsureProcess.program.config: "Handed to the module."',
    level: "core",
    async run(test) {
      await ensurePlane(test, "a", { data: strangeData });
      const { config } = (await request(test, "a", "who")) as { readonly config: Json };
      mustEqual(config, { data: strangeData }, "the config that it was told");
    },
  },
  {
    id: "host.ensure.environment",
    title: "each process is told its own id, owner and config, and no other's",
    clause: 'EnsureProcess.program.module: "It is told its id, its owner and its config, and no other\'s."',
    level: "core",
    async run(test) {
      const { hostId } = await test.provider.inventory({}, test.operation());
      await Promise.all(["a", "b"].map((id) => ensurePlane(test, id, { data: id })));
      for (const id of ["a", "b"]) {
        const { processId, owner, config } = (await request(test, id, "who")) as Record<string, Json>;
        const told = { processId, owner, config };
        mustEqual(
          told,
          { processId: id, owner: `dc-1/${hostId}/${id}`, config: { data: id } },
          `what '${id}' was told`,
        );
      }
    },
  },
  {
    id: "host.ensure.idempotent",
    title: "the same spec again changes nothing, in whatever order its fields are",
    clause: 'HostRuntime.ensureProcess: "The same spec again changes nothing"',
    level: "core",
    async run(test) {
      const spec = planeSpec(test, "a", { data: { x: 1, y: 2 } });
      const first = await ensure(test, spec);
      mustEqual(await ensure(test, spec), first, "the status, asked again");
      const { program, owner, processId } = planeSpec(test, "a", { data: { y: 2, x: 1 } });
      mustEqual(
        await ensure(test, { program, processId, owner }),
        first,
        "the status, with the fields in another order",
      );
      mustEqual(await startsOf(test, "a"), 1, "how often it was started");
    },
  },
  {
    id: "host.ensure.changed",
    title: "another spec ends the old process before the new one starts",
    clause:
      'HostRuntime.ensureProcess: "Another spec ends the old process, as `removeProcess` does, before the new one starts."',
    level: "core",
    async run(test) {
      const before = await ensurePlane(test, "a", { data: 1 });
      const after = await ensurePlane(test, "a", { data: 2 });
      must(pidOf(after) !== pidOf(before), "another spec must start another process");
      mustEqual(await request(test, "a", "alive", { pid: pidOf(before) }), false, "whether the old one runs");
      mustEqual(after.restarts, 0, "how often the new one ended by itself");
      const { config, pid } = (await request(test, "a", "who")) as Record<string, Json>;
      mustEqual({ config, pid }, { config: { data: 2 }, pid: pidOf(after) }, "who answers");
      mustEqual(await statesOf(test), ["a running"], "the processes");
    },
  },
  {
    id: "host.ensure.other-owner",
    title: "a process of another datacenter is not touched",
    clause: 'HostRuntime.ensureProcess: "when the id is another datacenter\'s (reason `VDC_PROCESS_OF_ANOTHER_OWNER`)"',
    level: "core",
    async run(test) {
      const before = await ensurePlane(test, "a", { data: 1 });
      const spec = { ...planeSpec(test, "a", { data: 2 }), owner: ownerOf("a", "dc-2") };
      const error = await mustReject(ensure(test, spec), "FAILED_PRECONDITION", "a process of another datacenter");
      const { reason } = error as { readonly reason?: string };
      mustEqual(reason, "VDC_PROCESS_OF_ANOTHER_OWNER", "the reason");
      mustEqual(await test.provider.listProcesses({}, test.operation()), [before], "the processes");
    },
  },
  {
    id: "host.ensure.not-installed",
    title: "a module that is not on the host is refused, and nothing is on record",
    clause: 'HostRuntime.ensureProcess: "`FAILED_PRECONDITION` when the program is not on the host"',
    level: "core",
    async run(test) {
      for (const module of ["@vdc-os/no-such-package/plane", "file:///no/such/plane.js", "/no/such/plane.js"]) {
        const spec = { ...planeSpec(test, "a"), program: { kind: "module", module, config: null } } as const;
        await mustReject(ensure(test, spec), "FAILED_PRECONDITION", `the module '${module}'`);
        mustEqual(await statesOf(test), [], "the processes");
      }
      await ensurePlane(test, "a");
    },
  },
  {
    id: "host.ensure.not-ready",
    title: "a module that does not answer in time fails the call, with what it wrote, and is removed as any other",
    clause:
      'HostRuntime.ensureProcess: "`UNAVAILABLE` when it is not ready in `readyTimeoutMs`, and goes on being tried"',
    level: "core",
    async run(test) {
      const spec = { ...planeSpec(test, "a", { start: "mute" }), readyTimeoutMs: await shortReadyMs(test) };
      let isOver = false;
      const call = ensure(test, spec).finally(() => {
        isOver = true;
      });
      call.catch(() => undefined);
      await until(test, "a", ({ pid }) => pid !== undefined);
      await begun(test, "a");
      // One that had the time to write, whatever a start takes here: it goes on being tried.
      const asked = isOver ? ensure(test, spec) : call;
      const { message } = await mustReject(asked, "UNAVAILABLE", "a module that does not answer");
      must(message.includes("plane a begins"), `the error must hold what the process wrote, and says: ${message}`);
      const [status] = await test.provider.listProcesses({}, test.operation());
      must(
        status !== undefined && status.state !== "running",
        "what does not answer must be listed, and not as running",
      );
      await test.provider.removeProcess({ processId: "a", graceMs: 0 }, test.operation());
      mustEqual(await statesOf(test), [], "the processes after the removal");
    },
  },
  {
    id: "host.ensure.ended-at-once",
    title: "a module that runs once and ends before it answers fails the call, and the next call tries again",
    clause: 'HostRuntime.ensureProcess: "when a process that is not started again ends before it has answered"',
    level: "core",
    async run(test) {
      const spec = { ...planeSpec(test, "a", { start: "crash" }), restart: "never" } as const;
      for (const starts of [1, 2]) {
        const { message } = await mustReject(ensure(test, spec), "FAILED_PRECONDITION", "a module that ends at once");
        must(message.includes("crashing as asked"), `the error must hold what the process wrote, and says: ${message}`);
        mustEqual(await startsOf(test, "a"), starts, "how often it was started");
      }
      mustEqual(await statesOf(test), ["a exited"], "the processes");
    },
  },
];
