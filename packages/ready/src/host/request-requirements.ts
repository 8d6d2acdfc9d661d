import { isDeepStrictEqual } from "node:util";
import type { ErrorCode, Json } from "@vdc-os/core";
import { isVdcError } from "@vdc-os/core";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { mustEqualSoon } from "../suite/patience.ts";
import { commandSpec, endsSoon, ensure, ensurePlane, type HostRequirement, request } from "./host-instance.ts";

const clause = 'HostRuntime.request: "Calls a method of a process\'s control protocol."';
const errors = 'HostRuntime.request: "What the process fails with passes through, with code and reason"';

const values: readonly Json[] = [
  null,
  false,
  0,
  -1.5e-7,
  "",
  "\u0000 \u2028 \u{1f600} $(id)",
  [],
  {},
  [[], {}, [null]],
  { constructor: { "": 1 }, method: "x", params: null, jsonrpc: "2.0", id: 7 },
  "x".repeat(1 << 20),
];

/** The codes that the operation lists. */
const codes: readonly ErrorCode[] = [
  "NOT_FOUND",
  "FAILED_PRECONDITION",
  "ABORTED",
  "UNIMPLEMENTED",
  "RESOURCE_EXHAUSTED",
  "ALREADY_EXISTS",
  "OUT_OF_RANGE",
  "DATA_LOSS",
];

/** What is relayed to a process. */
export const requestRequirements: readonly HostRequirement[] = [
  {
    id: "host.request.values",
    title: "what a method is given and answers comes through as it is",
    clause,
    level: "core",
    async run(test) {
      await ensurePlane(test, "a");
      for (const [index, value] of values.entries()) {
        const echo = await request(test, "a", "echo", value);
        must(isDeepStrictEqual(echo, value), `value ${index} of the list of values came back changed`);
      }
    },
  },
  {
    id: "host.request.errors",
    title: "an error of a process passes through with its code and reason",
    clause: errors,
    level: "core",
    async run(test) {
      await ensurePlane(test, "a");
      for (const code of codes) {
        const reason = `ACME_${code}`;
        const error = await mustReject(request(test, "a", "fail", { code, reason }), code, `a method that fails so`);
        mustEqual((error as { readonly reason?: string }).reason, reason, "the reason");
      }
      mustEqual(await request(test, "a", "echo", 1), 1, "what it answers after that");
    },
  },
  {
    id: "host.request.unknown",
    title: "a process that there is not, and a method that it does not have, are told apart",
    clause:
      'HostRuntime.request: "`NOT_FOUND` where there is no such process, `UNIMPLEMENTED` for a command and for a method that the process does not have"',
    level: "core",
    async run(test) {
      await mustReject(request(test, "a", "echo"), "NOT_FOUND", "a call of a process that there is not");
      await ensurePlane(test, "a");
      for (const method of ["no-such-method", "constructor", "", "$/cancelRequest", "rpc.discover"]) {
        await mustReject(request(test, "a", method), "UNIMPLEMENTED", `the method '${method}'`);
      }
      await ensure(test, commandSpec(test, "b", "stay"));
      await mustReject(request(test, "b", "echo"), "UNIMPLEMENTED", "a call of a command");
    },
  },
  {
    id: "host.request.at-once",
    title: "calls at once are answered each with its own, and none waits for another",
    clause,
    level: "core",
    async run(test) {
      await Promise.all(["a", "b"].map((id) => ensurePlane(test, id)));
      const controller = new AbortController();
      const never = test.provider.request(
        { processId: "a", method: "never", params: null },
        test.operation({ signal: controller.signal }),
      );
      never.catch(() => undefined);
      const asked = Array.from({ length: 40 }, (_, index) => ({ id: index % 2 === 0 ? "a" : "b", index }));
      const answers = await Promise.all(asked.map(({ id, index }) => request(test, id, "echo", { id, index })));
      mustEqual(answers, asked, "the answers");
      const [first, second] = await Promise.all(["a", "b"].map((id) => request(test, id, "who")));
      const idOf = (told: Json | undefined): Json | undefined => (told as Record<string, Json> | undefined)?.processId;
      mustEqual([idOf(first), idOf(second)], ["a", "b"], "who answers");
      controller.abort();
    },
  },
  {
    id: "host.request.cancel",
    title: "a call that was given up ends at once, and its process hears of it",
    clause: 'HostRuntime.request: "that a caller gives up reaches the process"',
    level: "core",
    async run(test) {
      await ensurePlane(test, "a");
      const controller = new AbortController();
      const call = test.provider.request(
        { processId: "a", method: "never", params: null },
        test.operation({ signal: controller.signal }),
      );
      call.catch(() => undefined);
      await request(test, "a", "echo");
      controller.abort();
      must(await endsSoon(call), "a call that was given up must end");
      await mustReject(call, "CANCELLED", "a call that was given up");
      await mustEqualSoon(
        () => request(test, "a", "given-up"),
        1,
        "of how many calls the process hears that they were",
      );
    },
  },
  {
    id: "host.request.deadline",
    title: "a call ends when its deadline has passed",
    clause: 'OperationContext.signal: "Aborts when the caller cancels, the deadline passes"',
    level: "core",
    async run(test) {
      await ensurePlane(test, "a");
      const input = { processId: "a", method: "never", params: null };
      const call = test.provider.request(input, test.operation({ timeoutMs: 100 }));
      call.catch(() => undefined);
      must(await endsSoon(call), "a call must end when its deadline has passed");
      await mustReject(call, "DEADLINE_EXCEEDED", "a call whose deadline has passed");
    },
  },
  {
    id: "host.request.ended",
    title: "a call fails when its process ends meanwhile, and the next one reaches the process that follows",
    clause: 'HostRuntime.request: "`UNAVAILABLE` for one that does not run, or ends meanwhile"',
    level: "core",
    async run(test) {
      await ensurePlane(test, "a");
      const call = request(test, "a", "never");
      call.catch(() => undefined);
      const killed = request(test, "a", "kill").catch((error: unknown) => {
        if (!isVdcError(error, "UNAVAILABLE")) throw error;
      });
      await mustReject(call, "UNAVAILABLE", "a call of a process that ends meanwhile");
      await killed;
      for (;;) {
        const answer = await request(test, "a", "echo", 1).catch((error: unknown) => {
          if (!isVdcError(error, "UNAVAILABLE")) throw error;
          return undefined;
        });
        if (answer === 1) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
  },
];
