import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Contract } from "@vdc-os/core";
import { must, mustReject } from "../suite/must.ts";
import type { Instance, Requirement } from "../suite/suite.ts";

/** How often `describe` is called in each of the rounds in which memory is measured, how many rounds there are at most, and for how long at most in all, in milliseconds. */
const calls = 500;
const rounds = 12;
const callsMs = 10_000;

/** How much the heap may grow in a round, in bytes: a call that keeps anything keeps more. */
const growthBytes = 500 * 512;

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
        const collect = collector();
        const end = performance.now() + callsMs;
        const round = async (): Promise<{ readonly made: number; readonly grown: number }> => {
          await settled(collect);
          const before = process.memoryUsage().heapUsed;
          let made = 0;
          for (; made < calls && performance.now() < end; made++) {
            await test.provider.describe({ scope: {} }, test.operation());
          }
          await settled(collect);
          return { made, grown: process.memoryUsage().heapUsed - before };
        };
        // What is made once, what is cleared away after thousands of calls, and what else the process does, shows in some rounds; what each call keeps
        // shows in all.
        let { grown } = await round();
        for (let done = 1; done < rounds && grown >= growthBytes; done++) {
          const next = await round();
          // A round that time has cut short says nothing.
          if (next.made < calls) break;
          grown = Math.min(grown, next.grown);
        }
        must(grown < growthBytes, `the heap must not grow with each call, and grows by ${grown} bytes in ${calls}`);
      },
    },
  ];
}

/** What is held weakly, as signals are that follow each other, goes in a turn of its own after a collection. */
async function settled(collect: () => void): Promise<void> {
  for (let turn = 0; turn < 4; turn++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  collect();
}

/** The collector of garbage, which Node.js hides unless it is asked for. */
function collector(): () => void {
  if (typeof globalThis.gc === "function") return globalThis.gc;
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  setFlagsFromString("--no-expose-gc");
  return collect;
}
