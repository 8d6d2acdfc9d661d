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
export const suiteNames = ["storage", "network", "compute", "cloud", "state", "secret", "backup"] as const;

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
  },
  concurrency: {
    storage: ["create.concurrent", "snapshots.concurrent", "concurrent.changes", "concurrent.deletes"],
    network: "ports are tried one after the other",
    compute: "VMs are tried one after the other",
    cloud: ["create.parallel"],
    state: ["transact.concurrent"],
    secret: ["put.concurrent"],
    backup: ["create.concurrent", "prune.working"],
  },
  cancellation: {
    storage: ["create.cancelled", "cancel.create", "cancel.delete", "cancel.attach", "migrate.cancel"],
    network: "on `describe` alone",
    compute: ["start.cancel", "console.cancel", "watch.cancel", "migration.cancel"],
    cloud: ["create.cancelled"],
    state: ["transact.cancelled", "watch.cancel"],
    secret: ["put.cancelled"],
    backup: ["cancel.before", "cancel.create", "cancel.restore"],
  },
  deadlines: { storage: [], network: [], compute: [], cloud: [], state: [], secret: [], backup: [] },
  "error codes": {
    storage: ["create.conflict", "get.absent", "attach.older", "delete.attached", "snapshots.absent"],
    network: ["port.unknown", "port.taken", "port.fenced", "apply.refuses"],
    compute: ["get.absent", "create.conflict", "start.fenced", "delete.running"],
    cloud: ["credentials.wrong", "create.bad-image", "create.bad-size", "operation.unknown"],
    state: ["transact.refuses", "lease.unknown"],
    secret: ["resolve.absent", "rotate.absent"],
    backup: ["create.conflict", "create.unknown-disk", "get.unknown", "restore.unknown-target"],
  },
  crash: {
    storage: ["durable.restart", "attach.restart", "snapshots.restart", "changed-blocks.killed", "encryption.killed"],
    network: ["durable.restart", "migration.durable"],
    compute: ["reopen.adopts", "reopen.fenced", "reopen.defined", "migration.reopen"],
    cloud: ["create.lost-answer", "create.reopened"],
    state: ["durable.restart"],
    secret: ["durable.restart"],
    backup: ["resume.create", "resume.other", "resume.restore", "sweep.run", "sweep.restore", "durable.restart"],
  },
  leaks: { storage: [], network: [], compute: [], cloud: [], state: [], secret: [], backup: ["sweep.run"] },
  pagination: {
    storage: ["list.paging", "list.changes", "list.token"],
    network: ["list.paging"],
    compute: ["list.paging", "list.token"],
    cloud: ["offerings.paged", "images.paged", "networks.paged", "list.paged", "list.token"],
    state: ["list.paging", "list.token"],
    secret: ["list.names"],
    backup: ["list.paged", "list.token"],
  },
  "bounded memory": { storage: [], network: [], compute: [], cloud: [], state: [], secret: [], backup: [] },
  "hostile input": {
    storage: ["hostile.ids", "hostile.names", "hostile.sizes", "hostile.tokens", "import-export.hostile"],
    network: ["apply.refuses", "validate.facets"],
    compute: "names and paths of others are not tried yet",
    cloud: ["list.token"],
    state: ["transact.keys"],
    secret: ["hostile.names"],
    backup: ["create.hostile-names"],
  },
};

/** The matrix as a table of Markdown: a row for each property, a column for each suite, and in a cell how many requirements try it. */
export function formatMatrix(): string {
  const count = (property: Property, suite: SuiteName): string => {
    const own = propertyMatrix[property][suite];
    const all = (everywhere[property]?.length ?? 0) + (typeof own === "string" ? 0 : own.length);
    return String(all);
  };
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rows = properties.map((property) => line([property, ...suiteNames.map((suite) => count(property, suite))]));
  return [line(["tried", ...suiteNames]), line(["-", ...suiteNames.map(() => "-")]), ...rows].join("\n");
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
