/** What every suite must try, beside what its operations do. */
export const properties = [
  "idempotency",
  "concurrency",
  "cancellation",
  "deadlines",
  "error codes",
  "crash",
  "leaks",
  "pagination",
  "bounded memory",
  "hostile input",
] as const;

/** One of {@link properties}. */
export type Property = (typeof properties)[number];

/** The suites, in the order of their table. */
export const suiteNames = ["storage", "network", "compute", "cloud", "state", "secret", "backup", "host"] as const;

/** The name of a suite. */
export type SuiteName = (typeof suiteNames)[number];

/** What holds for all suites: the requirements of every implementation, and what is looked at in each call. */
export const everywhere: Readonly<Partial<Record<Property, readonly string[]>>> = {
  concurrency: ["describe.at-once"],
  cancellation: ["describe.given-up"],
  deadlines: ["describe.deadline"],
  leaks: ["leaves-nothing"],
  "bounded memory": ["describe.bounded-memory"],
};

/** The requirements that try a property of a point, by what follows the suite's name. A text says why there is none. */
export const propertyMatrix: Readonly<Record<Property, Readonly<Record<SuiteName, readonly string[] | string>>>> = {
  idempotency: {
    storage: ["create.idempotent", "attach.idempotent", "clones.idempotent", "snapshots.idempotent"],
    network: ["apply.idempotent", "port.idempotent", "validate.repeated", "migration.repeat"],
    compute: ["create.idempotent", "start.idempotent", "migration.idempotent"],
    cloud: ["create.idempotent-by-token", "remove.absent"],
    state: ["transact.delete", "lease.revoke"],
    secret: ["put.idempotent", "remove.all"],
    backup: ["create.idempotent", "restore.repeated", "delete.absent"],
    host: ["ensure.idempotent", "command.ends", "remove.absent", "reopen.same"],
  },
  concurrency: {
    storage: ["create.concurrent", "snapshots.concurrent", "concurrent.changes", "concurrent.deletes"],
    network: [
      "concurrent.ports",
      "concurrent.same",
      "concurrent.owners",
      "concurrent.max",
      "concurrent.apply",
      "concurrent.apply-connect",
      "concurrent.remove",
    ],
    compute: [
      "concurrent.vms",
      "concurrent.create",
      "concurrent.owners",
      "concurrent.start-stop",
      "concurrent.start-delete",
    ],
    cloud: ["create.parallel"],
    state: ["transact.concurrent"],
    secret: ["put.concurrent"],
    backup: ["create.concurrent", "prune.working"],
    host: [
      "concurrent.same",
      "concurrent.specs",
      "concurrent.removed",
      "concurrent.settles",
      "concurrent.many",
      "request.at-once",
    ],
  },
  cancellation: {
    storage: [
      "create.cancelled",
      "cancel.create",
      "cancel.delete",
      "cancel.attach",
      "migrate.cancel",
      "snapshots.cancel",
    ],
    network: ["cancel.apply", "cancel.connect", "cancel.disconnect", "cancel.migration"],
    compute: [
      "start.cancel",
      "console.cancel",
      "watch.cancel",
      "migration.cancel",
      "cancel.create",
      "cancel.delete",
      "cancel.start",
      "cancel.stop",
    ],
    cloud: ["create.cancelled", "cancel.create", "cancel.remove"],
    state: ["transact.cancelled", "watch.cancel", "cancel.transact", "cancel.lease", "cancel.watch"],
    secret: ["put.cancelled", "cancel.put", "cancel.rotate", "cancel.remove"],
    backup: ["cancel.before", "cancel.create", "cancel.restore", "cancel.steps"],
    host: ["cancel.before", "cancel.ensure", "cancel.remove", "request.cancel", "watch.cancel", "log.cancel"],
  },
  deadlines: {
    storage: ["deadline.passed", "deadline.snapshot"],
    network: ["deadline.calls"],
    compute: ["deadline.calls"],
    cloud: ["deadline.passed"],
    state: ["deadline.passed", "deadline.watch"],
    secret: ["deadline.passed"],
    backup: ["deadline.passed"],
    host: ["deadline.passed", "ensure.deadline", "request.deadline"],
  },
  "error codes": {
    storage: [
      "create.conflict",
      "get.absent",
      "attach.older",
      "delete.attached",
      "snapshots.absent",
      "topology.attach",
      "topology.create",
    ],
    network: ["port.unknown", "port.taken", "port.fenced", "apply.refuses"],
    compute: ["get.absent", "create.conflict", "start.fenced", "delete.running"],
    cloud: ["credentials.wrong", "create.bad-image", "create.bad-size", "operation.unknown", "hostile.ids"],
    state: ["transact.refuses", "lease.unknown", "hostile.leases", "hostile.values"],
    secret: ["resolve.absent", "rotate.absent", "hostile.versions"],
    backup: ["create.conflict", "create.unknown-disk", "get.unknown", "restore.unknown-target", "hostile.ids"],
    host: [
      "ensure.other-owner",
      "ensure.not-installed",
      "ensure.not-ready",
      "ensure.ended-at-once",
      "command.absent",
      "request.errors",
      "request.unknown",
      "log.unknown",
    ],
  },
  crash: {
    storage: [
      "durable.restart",
      "attach.restart",
      "snapshots.restart",
      "changed-blocks.killed",
      "encryption.killed",
      "crash.create",
      "crash.delete",
      "crash.attach",
      "crash.resize",
      "crash.snapshot",
      "crash.snapshot-delete",
      "crash.revert",
      "crash.group-snapshot",
      "crash.overlay",
      "crash.clone",
    ],
    network: [
      "durable.restart",
      "migration.durable",
      "crash.apply",
      "crash.connect",
      "crash.disconnect",
      "crash.migration",
    ],
    compute: [
      "reopen.adopts",
      "reopen.fenced",
      "reopen.defined",
      "migration.reopen",
      "crash.create",
      "crash.delete",
      "crash.start",
      "crash.stop",
    ],
    cloud: ["create.lost-answer", "create.reopened", "crash.create", "crash.remove"],
    state: ["durable.restart", "crash.transact", "crash.lease"],
    secret: ["durable.restart", "crash.put", "crash.rotate"],
    backup: ["resume.create", "resume.other", "resume.restore", "sweep.run", "sweep.restore", "durable.restart"],
    host: [
      "restart.module",
      "request.ended",
      "reopen.adopts",
      "reopen.same",
      "reopen.supervised",
      "reopen.removed",
      "reopen.unfinished",
    ],
  },
  leaks: {
    storage: ["crash.create", "crash.delete", "crash.resize", "crash.snapshot-delete", "crash.overlay", "crash.clone"],
    network: [],
    compute: [],
    cloud: [],
    state: [],
    secret: [],
    backup: ["sweep.run"],
    host: ["ensure.changed", "restart.children", "remove.ends", "remove.forced", "remove.backing-off"],
  },
  pagination: {
    storage: ["list.paging", "list.changes", "list.token"],
    network: ["list.paging", "list.changes", "hostile.tokens"],
    compute: ["list.paging", "list.token", "list.changes", "hostile.tokens"],
    cloud: ["offerings.paged", "images.paged", "networks.paged", "list.paged", "list.token"],
    state: ["list.paging", "list.token", "list.bounded"],
    secret: ["list.names", "hostile.tokens"],
    backup: ["list.paged", "list.token"],
    host: "processes are listed whole: a host has few",
  },
  "bounded memory": {
    storage: ["get.bounded-memory"],
    network: ["watch.bounded-memory"],
    compute: ["watch.bounded-memory"],
    cloud: ["observe.bounded-memory", "events.unread"],
    state: ["list.bounded", "watch.unread"],
    secret: ["resolve.bounded-memory"],
    backup: ["list.bounded-memory"],
    host: ["log.pieces", "watch.slow"],
  },
  "hostile input": {
    storage: ["hostile.ids", "hostile.names", "hostile.sizes", "hostile.tokens", "import-export.hostile"],
    network: [
      "apply.refuses",
      "validate.facets",
      "hostile.ports",
      "hostile.switches",
      "hostile.places",
      "hostile.addresses",
      "hostile.filters",
      "hostile.opaque",
      "hostile.tokens",
    ],
    compute: ["hostile.ids", "hostile.names", "hostile.devices", "hostile.starts", "hostile.tokens"],
    cloud: ["list.token", "hostile.ids", "hostile.tokens", "hostile.text"],
    state: ["transact.keys", "hostile.keys", "hostile.values", "hostile.leases"],
    secret: ["hostile.names", "hostile.values", "hostile.versions", "hostile.tokens"],
    backup: ["create.hostile-names", "hostile.ids"],
    host: [
      "hostile.ids",
      "hostile.no-ids",
      "hostile.modules",
      "hostile.nul",
      "command.arguments",
      "ensure.config",
      "ensure.environment",
    ],
  },
};

/** The matrix as a table of Markdown: a row for each property, a column for each suite, and in a cell how many requirements try it. */
export function formatMatrix(): string {
  const count = (property: Property, suite: SuiteName): string => {
    const own = propertyMatrix[property][suite];
    const all = (everywhere[property]?.length ?? 0) + (typeof own === "string" ? 0 : own.length);
    return String(all);
  };
  const rows = [
    ["tried", ...suiteNames],
    ...properties.map((property) => [property, ...suiteNames.map((suite) => count(property, suite))]),
  ];
  const widths = ["tried", ...suiteNames].map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const [head = "", ...rest] = rows.map((row) => line(row.map((cell, column) => cell.padEnd(widths[column] ?? 0))));
  return [head, line(widths.map((width) => "-".repeat(width))), ...rest].join("\n");
}

/** A row for each cell of the table that has a name in it: what the table counts. */
export function formatNames(): string {
  return properties
    .map((property) => {
      const names = (suite: string, found: readonly string[] | string): string =>
        typeof found === "string" ? `${suite}: ${found}` : `${suite}: ${found.map((name) => `\`${name}\``).join(" ")}`;
      const common = everywhere[property];
      const own = suiteNames.flatMap((suite) => {
        const found = propertyMatrix[property][suite];
        return found.length === 0 ? [] : [names(suite, found)];
      });
      return `- **${property}**. ${[...(common === undefined ? [] : [names("Every suite", common)]), ...own].join("; ")}`;
    })
    .join("\n");
}
