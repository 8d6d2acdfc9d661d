import type { Contract } from "@vdc-os/core";
import { mustKeepNoMemory } from "../suite/heap-growth.ts";
import { must, mustReject } from "../suite/must.ts";
import type { Instance, Requirement } from "../suite/suite.ts";

/** What every implementation of every point must do, whatever its contract. It is tried with the one operation that all have. */
export function generalRequirements<T extends Contract, I extends Instance<T>>(
  suite: string,
): readonly Requirement<T, I>[] {
  return [
    {
      id: `${suite}.describe.given-up`,
      title: "a call whose caller has given up ends, done or cancelled",
      clause: 'OperationContext.signal: "Aborts when the caller cancels"',
      level: "core",
      async run(test) {
        const call = test.provider.describe({ scope: {} }, test.operation({ signal: AbortSignal.abort() }));
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<boolean>((resolve) => {
          timer = setTimeout(resolve, 2_000, false);
        });
        const ended = call.then(
          () => true,
          (error) => mustReject(Promise.reject(error), "CANCELLED", "a call that was given up").then(() => true),
        );
        const done = await Promise.race([ended, late]).finally(() => clearTimeout(timer));
        must(done, "a call that was given up must end, and goes on after 2000 ms");
      },
    },
    {
      id: `${suite}.describe.deadline`,
      title: "a call whose deadline passes ends, done or with DEADLINE_EXCEEDED",
      clause: 'OperationContext.signal: "Aborts when the caller cancels, the deadline passes"',
      level: "core",
      async run(test) {
        const call = test.provider.describe({ scope: {} }, test.operation({ timeoutMs: 1 }));
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<boolean>((resolve) => {
          timer = setTimeout(resolve, 2_000, false);
        });
        const ended = call.then(
          () => true,
          (error) => mustReject(Promise.reject(error), "DEADLINE_EXCEEDED", "a call that is late").then(() => true),
        );
        const done = await Promise.race([ended, late]).finally(() => clearTimeout(timer));
        must(done, "a call whose deadline has passed must end, and goes on after 2000 ms");
      },
    },
    {
      id: `${suite}.describe.at-once`,
      title: "calls that come at once are answered alike",
      clause: "describe: the answer for every facet, available or not",
      level: "core",
      async run(test) {
        const one = (): Promise<string> =>
          test.provider
            .describe({ scope: {} }, test.operation())
            .then(({ facets }) => JSON.stringify(Object.entries(facets).map(([name, { status }]) => [name, status])));
        const answers = new Set(await Promise.all(Array.from({ length: 20 }, one)));
        must(
          answers.size === 1,
          `20 calls at once must say the same of the facets, and say ${[...answers].join("; ")}`,
        );
      },
    },
    {
      id: `${suite}.describe.bounded-memory`,
      title: "a call keeps no memory when it is over",
      clause: "OperationContext: it ends with its call, and what listens to its signal with it",
      level: "core",
      async run(test) {
        await mustKeepNoMemory(() => test.provider.describe({ scope: {} }, test.operation()), {
          calls: 500,
          bytesPerCall: 512,
        });
      },
    },
  ];
}
