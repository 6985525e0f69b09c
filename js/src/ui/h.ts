// Given to every file with markup by build.mjs: shorter calls than those of the automatic runtime.
export { Fragment, h } from "preact";
