# The part of a NixOS configuration that nix/ makes, of modules beside options that NixOS has. `lib`: nixpkgs'
# own, or as much of it as is needed; `clanOptions`: clan's.
{ lib ? import ./lib, clanOptions ? ./lib/clan-options.nix }:
modules:
let
  pkgs = import ./packages.nix { inherit lib; };
  inherit (lib.evalModules { class = "nixos"; modules = [ ./lib/nixos-options.nix clanOptions ] ++ modules; specialArgs = { inherit pkgs; }; }) config;
in
{
  inherit (config.boot.initrd) availableKernelModules;
  inherit (config.systemd) services sockets targets;
  inherit (config) warnings;
  faults = map ({ message, ... }: message) (builtins.filter ({ assertion, ... }: ! assertion) config.assertions);
  files = builtins.mapAttrs (_: { text, ... }: text) config.environment.etc;
  generators = builtins.mapAttrs
    (_: { script, runtimeInputs, files, ... }: {
      inherit script;
      programs = map toString runtimeInputs;
      files = builtins.mapAttrs (_: { secret, deploy, mode, path, ... }: { inherit secret deploy mode path; }) files;
    })
    config.clan.core.vars.generators;
}
