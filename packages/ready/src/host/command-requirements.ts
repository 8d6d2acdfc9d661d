import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  commandSpec,
  ensure,
  ensurePlane,
  type HostRequirement,
  logOf,
  pidOf,
  remove,
  startsOf,
  statesOf,
  until,
} from "./host-instance.ts";

/** Arguments that come through only where no shell, no flag and no list is made of them. */
const strangeArguments = [
  "",
  " a  b ",
  "$(id)",
  "`id`",
  "$PATH",
  "*",
  "~",
  ";",
  "&&",
  "| cat",
  "> /dev/null",
  "--version",
  "-e",
  "'",
  '"',
  "\\",
  "line\nbreak\ttab",
  "\u00fc \u{1f600}",
  "x".repeat(20_000),
];

/** How a command is run. */
export const commandRequirements: readonly HostRequirement[] = [
  {
    id: "host.command.arguments",
    title: "arguments reach a command as they are",
    clause: 'EnsureProcess.program.args: "They reach it as they are: no shell sees them."',
    level: "core",
    async run(test) {
      await ensure(test, commandSpec(test, "a", "print", ...strangeArguments));
      await until(test, "a", ({ state }) => state === "exited");
      mustEqual(JSON.parse(await logOf(test, "a")), strangeArguments, "the arguments");
    },
  },
  {
    id: "host.command.runs",
    title: "a command that stays is running when the call returns",
    clause:
      'HostRuntime.ensureProcess: "Resolves when it answers on its control socket (modules) or has started (commands)"',
    level: "core",
    async run(test) {
      const status = await ensure(test, commandSpec(test, "a", "stay"));
      mustEqual([status.state, status.restarts, status.controlSocket], ["running", 0, undefined], "the status");
      const plane = await ensurePlane(test, "b");
      must(pidOf(plane) !== pidOf(status), "each process must have a pid of its own");
      const alive = await test.provider.request(
        { processId: "b", method: "alive", params: { pid: pidOf(status) } },
        test.operation(),
      );
      mustEqual(alive, true, "whether the pid of a command is that of a process of the host");
    },
  },
  {
    id: "host.command.ends",
    title: "a command that has ended says how, and stays ended, whoever asks for it again",
    clause: 'HostRuntime.ensureProcess: "also of a process that has ended for good: its status says `exited`"',
    level: "core",
    async run(test) {
      const spec = commandSpec(test, "a", "exit", "3");
      await ensure(test, spec);
      const status = await until(test, "a", ({ state }) => state === "exited");
      mustEqual([status.lastExit, status.pid, status.restarts], ["exit code 3", undefined, 0], "how it ended");
      mustEqual(await ensure(test, spec), status, "the status, asked again");
      mustEqual(await startsOf(test, "a"), 1, "how often it was started");
    },
  },
  {
    id: "host.command.always",
    title: "a command that is to run always is started again",
    clause: 'EnsureProcess.restart: "`always` starts it again when it ends, with back-off"',
    level: "core",
    async run(test) {
      await ensure(test, { ...commandSpec(test, "a", "exit", "0"), restart: "always" });
      const { lastExit } = await until(test, "a", ({ restarts }) => restarts >= 2);
      mustEqual(lastExit, "exit code 0", "how it ended");
    },
  },
  {
    id: "host.command.absent",
    title: "a command that is not on the host is refused, and its id can be used for another",
    clause:
      'HostRuntime.ensureProcess: "`FAILED_PRECONDITION` when the program is not on the host or can\'t be started"',
    level: "core",
    async run(test) {
      for (const command of ["/no/such/program", "no-such-program-anywhere", "/"]) {
        const spec = { ...commandSpec(test, "a"), program: { kind: "command", command, args: [] } } as const;
        await mustReject(ensure(test, spec), "FAILED_PRECONDITION", `the command '${command}'`);
      }
      mustEqual((await ensure(test, commandSpec(test, "a", "stay"))).state, "running", "another command's state");
      await remove(test, "a");
      mustEqual(await statesOf(test), [], "the processes");
    },
  },
  {
    id: "host.command.not-started",
    title: "a command that can't be started is refused also where it is to run always, and is not tried again",
    clause:
      'HostRuntime.ensureProcess: "`FAILED_PRECONDITION` when the program is not on the host or can\'t be started"',
    level: "core",
    async run(test) {
      for (const command of ["/no/such/program", `/${"x".repeat(5_000)}`, `${process.execPath}/none`]) {
        const program = { kind: "command", command, args: [] } as const;
        const spec = { ...commandSpec(test, "a"), program, restart: "always" } as const;
        for (const turn of ["first", "next"]) {
          const what = `the command '${command.slice(0, 60)}', asked for the ${turn} time`;
          await mustReject(ensure(test, spec), "FAILED_PRECONDITION", what);
        }
        const waiting = (await statesOf(test)).filter((state) => state !== "a exited");
        mustEqual(waiting, [], "what is started, or waits to be");
      }
      await ensure(test, { ...commandSpec(test, "a", "stay"), restart: "always" });
      mustEqual(await statesOf(test), ["a running"], "the processes when a command is asked for that can be started");
    },
  },
];
