/** What published packages may make their users install, beside packages of our own; and why each is worth it. */
export const allowedDependencies: readonly AllowedDependency[] = [
  { name: "zod", reason: "the schemas of contracts and configurations", packages: "any" },
  { name: "@opentelemetry/api", reason: "traces and metrics, without an implementation", packages: ["@vdc-os/core"] },
  { name: "eventemitter3", reason: "the kernel's events", packages: ["@vdc-os/core"] },
  { name: "pino", reason: "logs, behind the kernel's own logger", packages: ["@vdc-os/core"] },
  { name: "vscode-jsonrpc", reason: "the messages between processes", packages: ["@vdc-os/core"] },
  { name: "hono", reason: "the routes of the API", packages: ["@vdc-os/api"] },
  { name: "@hono/node-server", reason: "the API on Node.js' server", packages: ["@vdc-os/api"] },
  { name: "commander", reason: "the command line", packages: ["@vdc-os/cli"] },
  { name: "vitest", reason: "the certification suites as tests, where it is there", packages: ["@vdc-os/ready"] },
  {
    name: "koffi",
    reason: "system calls that Node.js has not, where it is there",
    packages: ["@vdc-os/qcow2", "@vdc-os/plugin-distributed-switch"],
  },
];

/** A package of somebody else. */
export interface AllowedDependency {
  readonly name: string;
  readonly reason: string;
  /** Which of our packages may depend on it. */
  readonly packages: readonly string[] | "any";
}
