# The part of a NixOS configuration that nix/ makes, of modules beside options that NixOS has. `lib`: nixpkgs'
# own, or as much of it as is needed.
{ lib ? import ./lib }:
modules:
let
  named = names: builtins.listToAttrs (map (name: { inherit name; value = "/pkgs/${name}"; }) names);
  pkgs = named [ "nodejs" "util-linux" "systemd" "e2fsprogs" "openssl" "coreutils" "qemu_kvm" "cloud-hypervisor" "firecracker" ];
  inherit (lib.evalModules { modules = [ ./lib/nixos-options.nix ] ++ modules; specialArgs = { inherit pkgs; }; }) config;
in
{
  inherit (config.boot.initrd) availableKernelModules;
  inherit (config.systemd) services sockets targets;
  faults = map ({ message, ... }: message) (builtins.filter ({ assertion, ... }: ! assertion) config.assertions);
  files = builtins.mapAttrs (_: { text, ... }: text) config.environment.etc;
  generators = builtins.mapAttrs (_: { script, runtimeInputs, files, ... }: { inherit script runtimeInputs files; }) config.clan.core.vars.generators;
}
