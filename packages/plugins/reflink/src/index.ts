export { type ReflinkConfig, reflinkConfig } from "./config.ts";
export { default } from "./plugin.ts";
export { default as reflink } from "./plugin.ts";
