/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PCI slots that a guest's device model has.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef VBE_CTL_SLOTS_H
#define VBE_CTL_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * slot_of_device_model() - does the device model of a Xen guest have this PCI slot?
 * @domid: guest
 * @slot: slot on bus 0
 * @what: gets what is there
 * @len: bytes at @what
 *
 * Waits up to 3 s. Return: true, if it says so; false, also if nobody can be asked.
 */
bool slot_of_device_model(uint32_t domid, uint32_t slot, char *what, size_t len);

#endif /* VBE_CTL_SLOTS_H */
