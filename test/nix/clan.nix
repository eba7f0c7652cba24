# What clan does with a service: for a machine, the NixOS modules of each instance that has it in a role.
{ lib ? import ./lib }:
{ inventory, machine, modules ? [ ] }:
let
  service = import ../../nix/clan-service.nix { inherit lib; };
  settingsOf = role: { settings ? { }, ... }: (lib.evalModules { modules = [ role.interface { config = settings; } ]; }).config;
  modulesOf = instanceName: { roles, ... }: lib.concatMap
    (name:
      let role = service.roles.${name}; in
      map
        (machineName: (role.perInstance {
          inherit instanceName;
          settings = settingsOf role roles.${name}.machines.${machineName};
          machine.name = machineName;
        }).nixosModule)
        (lib.filter (machineName: machineName == machine) (lib.attrNames roles.${name}.machines)))
    (lib.attrNames roles);
in
import ./evaluate.nix { inherit lib; } (modules ++ lib.concatMap (name: modulesOf name inventory.instances.${name}) (lib.attrNames inventory.instances))
