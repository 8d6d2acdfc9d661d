export { missingPrograms } from "@vdc-os/testing";
