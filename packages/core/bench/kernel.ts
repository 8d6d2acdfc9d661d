/**
 * What the kernel costs, against doing the same by hand in the same process.
 *
 * `node bench/kernel.ts` prints a line for each goal; `--json` prints data; `--gate` exits with 1 when a goal is missed.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createOperationContext, defineEvent, definePlugin, type Plugin } from "../src/index.ts";
import { EventBus, Kernel, use } from "../src/kernel.ts";
import { z } from "zod";
import { defineGreeter, type Greeter, greeterClass, storedGreeterClass } from "./greeter.ts";
import { compare, type Outcome, timed } from "./measure.ts";
import { comparePipe } from "./pipe.ts";

const input = { name: "bench" };

interface CallSubject {
  readonly name: string;
  readonly goal: number | undefined;
  /** Makes a class of providers. */
  readonly greeterClass: () => new (greeting: string) => Greeter;
}

/**
 * A call through a handle to a provider in this process, against calling its method: the same input, the same context as it is, the
 * same `await`, the same class. On top comes what the direct call does without: the call is counted for a drain, and its error is
 * attributed. Both need one promise beyond the provider's own, which costs 30 to 40 ns however it is made.
 */
async function compareCall({ name, goal, greeterClass }: CallSubject): Promise<Outcome> {
  const kernel = new Kernel({ validation: "none" });
  // Several points, and several implementations, so that neither side runs on a call site that has seen one shape alone.
  const pairs = Array.from({ length: 4 }, (_, index) => {
    const point = defineGreeter(`bench.greeter-${String.fromCharCode(97 + index)}`);
    const direct = new (greeterClass())("hello");
    kernel.provide(point, "plain", direct);
    return { direct, handle: kernel.get(point, "plain") };
  });
  const context = createOperationContext();
  // Rounds of less than a millisecond, and many: most of them then run without losing the processor to somebody else.
  const calls = 4_000;
  const outcome = await compare({
    name,
    goal,
    rounds: 1_000,
    peer: () =>
      timed(async () => {
        for (let call = 0; call < calls; call++)
          await (pairs[call & 3] as (typeof pairs)[0]).direct.greet(input, context);
      }),
    ours: () =>
      timed(async () => {
        for (let call = 0; call < calls; call++)
          await (pairs[call & 3] as (typeof pairs)[0]).handle.greet(input, context);
      }),
  });
  await kernel.stop();
  return outcome;
}

/** A guarded dispatch to three listeners, against a loop over three functions. */
async function compareDispatch(): Promise<Outcome> {
  const event = defineEvent<{ readonly value: number }>({
    id: "bench.event",
    version: "1.0",
    summary: "Something happened.",
    payload: z.object({ value: z.number() }),
  });
  const bus = new EventBus({ onListenerError: () => undefined });
  let sum = 0;
  const listeners = [1, 2, 3].map((factor) => (payload: { readonly value: number }): void => {
    sum += payload.value * factor;
  });
  for (const listener of listeners) bus.on(event, listener, { plugin: "bench" });
  const payload = { value: 1 };
  const dispatches = 200_000;
  const outcome = await compare({
    name: "guarded dispatch to 3 listeners",
    goal: 2,
    rounds: 40,
    peer: () =>
      timed(() => {
        for (let count = 0; count < dispatches; count++) {
          for (let index = 0; index < listeners.length; index++) (listeners[index] as (typeof listeners)[0])(payload);
        }
      }),
    ours: () =>
      timed(() => {
        for (let count = 0; count < dispatches; count++) bus.emit(event, payload);
      }),
  });
  if (sum === 0) throw new Error("nothing was dispatched");
  return outcome;
}

const noop = (): void => undefined;

/** Plugins that do what nearly every plugin does, and nothing else: own one thing. */
function trivialPlugins(count: number): readonly Plugin[] {
  return Array.from({ length: count }, (_, index) =>
    definePlugin({
      name: `plugin-${index}`,
      version: "1.0.0",
      core: "0.1",
      summary: "Owns one thing.",
      async setup(context) {
        context.defer("nothing", noop);
      },
    }),
  );
}

/** `kernel.start()` of plugins that were registered before. */
async function timeStart(plugins: readonly Plugin[]): Promise<number> {
  const kernel = new Kernel({ plugins: plugins.map((plugin) => use(plugin)) });
  const ms = await timed(() => kernel.start());
  await kernel.stop();
  return ms;
}

/** Awaiting the same `setup` functions by hand, each with a context that only keeps a list. */
function timeBareSetups(plugins: readonly Plugin[]): Promise<number> {
  return timed(async () => {
    for (const plugin of plugins) {
      const owned: unknown[] = [];
      const context = { defer: (label: string, dispose: () => void) => owned.push({ label, dispose }) };
      await plugin.setup(context as never, undefined);
    }
  });
}

async function sum(times: number, run: () => Promise<number>): Promise<number> {
  let total = 0;
  for (let index = 0; index < times; index++) total += await run();
  return total;
}

/** Starting a hundred trivial plugins, against awaiting their bare `setup` functions. */
function compareStart(): Promise<Outcome> {
  const plugins = trivialPlugins(100);
  return compare({
    name: "start of 100 trivial plugins",
    goal: 5,
    // A round is one start, which takes microseconds: the median of many leaves the collector's pauses out on both sides.
    rounds: 1_500,
    peer: () => timeBareSetups(plugins),
    ours: () => timeStart(plugins),
  });
}

/** The cost for each plugin with ten thousand of them, against that with a hundred. */
function compareScale(): Promise<Outcome> {
  const few = trivialPlugins(100);
  const many = trivialPlugins(10_000);
  return compare({
    name: "cost per plugin at 10,000 against 100",
    goal: 1.5,
    rounds: 60,
    // The same number of plugins on both sides.
    peer: () => sum(100, () => timeStart(few)),
    ours: () => timeStart(many),
  });
}

function line({ name, ratio, goal, ok, ms }: Outcome): string {
  const text = `${ratio.median.toFixed(2)} (${ratio.lower.toFixed(2)}-${ratio.upper.toFixed(2)})`;
  const verdict = goal === undefined ? "for information" : `goal ${goal}, ${ok ? "ok" : "short"}`;
  return `${name}: ${text}, ${verdict}  [${ms.ours.toFixed(2)} ms against ${ms.peer.toFixed(2)} ms a round]`;
}

const flags = new Set(process.argv.slice(2));
const only = process.argv
  .slice(2)
  .find((argument) => argument.startsWith("--only="))
  ?.slice("--only=".length);
const goals = {
  call: () =>
    compareCall({ name: "call through a handle, validation off", goal: 1.5, greeterClass: storedGreeterClass }),
  "empty-call": () => compareCall({ name: "the same to a method that awaits nothing", goal: undefined, greeterClass }),
  dispatch: compareDispatch,
  start: compareStart,
  scale: compareScale,
  pipe: comparePipe,
};
/** One goal in a process of its own: the garbage of the others, and the code compiled for them, would fall on it. */
async function runApart(name: string): Promise<Outcome> {
  const path = fileURLToPath(import.meta.url);
  const { stdout } = await promisify(execFile)(process.execPath, [path, `--only=${name}`, "--json"]);
  return (JSON.parse(stdout) as readonly [Outcome])[0];
}

const outcomes: Outcome[] = [];
for (const [name, run] of Object.entries(goals)) {
  if (only !== undefined && only !== name) continue;
  const outcome = only === undefined ? await runApart(name) : await run();
  outcomes.push(outcome);
  if (!flags.has("--json")) console.log(line(outcome));
}
if (flags.has("--json")) console.log(JSON.stringify(outcomes, undefined, 2));
if (flags.has("--gate") && outcomes.some(({ ok }) => !ok)) process.exitCode = 1;
