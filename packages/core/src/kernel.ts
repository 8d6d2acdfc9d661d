export type { KernelApi, Provided } from "./kernel/kernel-api.ts";
